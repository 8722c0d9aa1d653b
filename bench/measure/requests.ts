import type { DeploymentPackage } from '../../src/generated/flux/DeploymentPackage.js'
import type { ExecutionRequest } from '../../src/generated/flux/ExecutionRequest.js'
import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'
import { AgentServiceDefinition } from '../../src/proto.js'
import type { Load } from './load.js'

/** A method and its serialized request. */
export type LoadRequest = Pick<Load, 'path' | 'request' | 'number' | 'acknowledged'>

const { HealthCheck, ExecuteFunction, RegisterFunction, DeployFunction } = AgentServiceDefinition
const DIGITS = 16

/** A call without work. */
export const HEALTH_CHECK: LoadRequest = { path: HealthCheck.path, request: HealthCheck.requestSerialize({}) }

export function deployment(request: DeploymentPackage): LoadRequest {
  return { path: DeployFunction.path, request: DeployFunction.requestSerialize(request) }
}

export function executions(request: ExecutionRequest): LoadRequest {
  return { path: ExecuteFunction.path, request: ExecuteFunction.requestSerialize(request) }
}

/** Executions with a common prefix of ids and a number from 0 on: see `numberedId`. */
export function numberedExecutions(request: ExecutionRequest, idPrefix: string): LoadRequest {
  return numbered(executions({ ...request, execution_id: numberedId(idPrefix, 0) }), idPrefix)
}

/** Registrations of functions whose names are a prefix and a number from 0 on. */
export function numberedRegistrations(config: FunctionConfig, namePrefix: string): LoadRequest {
  const request = RegisterFunction.requestSerialize({ ...config, name: numberedId(namePrefix, 0) })
  return { ...numbered({ path: RegisterFunction.path, request }, namePrefix), acknowledged: true }
}

/** Deploys of the same code for each of these functions. */
export function numberedDeployments(archive: Buffer, namePrefix: string): LoadRequest {
  const call = deployment({ function_name: numberedId(namePrefix, 0), code_archive: archive })
  return { ...numbered(call, namePrefix), acknowledged: true }
}

export function numberedId(prefix: string, number: number): string {
  return prefix + String(number).padStart(DIGITS, '0')
}

function numbered(call: LoadRequest, prefix: string): LoadRequest {
  return { ...call, number: { at: call.request.indexOf(numberedId(prefix, 0)) + prefix.length, first: 0 } }
}
