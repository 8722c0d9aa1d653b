import type { DeploymentPackage } from '../../src/generated/flux/DeploymentPackage.js'
import type { ExecutionRequest } from '../../src/generated/flux/ExecutionRequest.js'
import { AgentServiceDefinition } from '../../src/proto.js'
import type { Load } from './load.js'

/** A method and its serialized request. */
export type LoadRequest = Pick<Load, 'path' | 'request' | 'number'>

const { HealthCheck, ExecuteFunction, DeployFunction } = AgentServiceDefinition
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
  const call = executions({ ...request, execution_id: numberedId(idPrefix, 0) })
  return { ...call, number: { at: call.request.indexOf(numberedId(idPrefix, 0)) + idPrefix.length, first: 0 } }
}

export function numberedId(prefix: string, number: number): string {
  return prefix + String(number).padStart(DIGITS, '0')
}
