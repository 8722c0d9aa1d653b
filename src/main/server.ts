import { setTimeout as sleep } from 'node:timers/promises'
import {
  logVerbosity,
  Server,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  setLogVerbosity,
} from '@grpc/grpc-js'
import { AgentServiceDefinition, messageLimits, OperationsDefinition } from '../proto.js'
import type { Store } from '../store/store.js'
import type { AdmissionControl } from './admission.js'
import type { Deployer } from './deployer.js'
import type { Executions } from './executions.js'
import type { Functions } from './functions.js'
import type { LimitPolicy } from './limits.js'
import type { NodeSampler } from './node-status.js'
import type { SupervisorPool } from './pool.js'
import { cancelExecution } from './rpc/cancel-execution.js'
import { deployFunction } from './rpc/deploy-function.js'
import { executeFunction } from './rpc/execute-function.js'
import { followOutput } from './rpc/follow-output.js'
import { getExecution } from './rpc/get-execution.js'
import type { Handlers } from './rpc/handler.js'
import { healthCheck } from './rpc/health-check.js'
import { listExecutions, UsageSampler } from './rpc/list-executions.js'
import { registerFunction } from './rpc/register-function.js'
import { reportNodeStatus } from './rpc/report-node-status.js'

/** How long calls may take to finish once the server stops listening. */
const SHUTDOWN_LIMIT_MS = 2_000

/**
 * grpc-js hands a call whose deadline passes before its request is whole to its handler all the same, and then never
 * tells the handler: what it starts would have no caller and no end. Behind any interceptor, such a call is dropped.
 */
const dropCancelled: ServerInterceptor = (_method, call) => new ServerInterceptingCall(call)

/** What the calls act on. */
export interface Services {
  readonly agentId: string
  readonly store: Store
  readonly functions: Functions
  readonly admission: AdmissionControl
  readonly limits: LimitPolicy
  readonly executions: Executions
  readonly pool: SupervisorPool
  readonly deployer: Deployer
  readonly sampler: NodeSampler
}

/** Every call of both services, and what answers it. */
export function createServer(services: Services, handlers: Handlers): Server {
  const { executions, pool, deployer, sampler } = services
  const usage = new UsageSampler()
  const server = new Server({ ...messageLimits, 'grpc.enable_channelz': 0, interceptors: [dropCancelled] })
  server.addService(AgentServiceDefinition, {
    RegisterFunction: handlers.unary((call) => registerFunction(services, call.request)),
    DeployFunction: handlers.unary((call) => deployFunction(services, deployer, call.request)),
    ExecuteFunction: handlers.unary((call) => executeFunction(executions, call)),
    CancelExecution: handlers.unary((call) => cancelExecution(executions, call.request)),
    GetExecution: handlers.unary((call) => getExecution(executions, pool, call.request)),
    HealthCheck: handlers.unary(() => healthCheck(executions)),
    ReportNodeStatus: handlers.unary(() => reportNodeStatus(services, sampler)),
  })
  server.addService(OperationsDefinition, {
    FollowOutput: handlers.streaming((call) => followOutput(executions, pool, call)),
    ListExecutions: handlers.unary(() => listExecutions(executions, usage)),
  })
  return server
}

/** Listens; answers the port. Rejects with what the system says, as when the address is in use. */
export function listen(server: Server, host: string, port: number, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    // grpc-js would also print the error that it answers.
    setLogVerbosity(logVerbosity.NONE)
    server.bindAsync(addressOf(host, port), credentials, (error, bound) => {
      setLogVerbosity(logVerbosity.ERROR)
      if (error) reject(error)
      else resolve(bound)
    })
  })
}

export function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Stops listening; calls under way get SHUTDOWN_LIMIT_MS to finish. */
export async function shutdown(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
  // A caller that has stopped reading keeps its connection open, and forceShutdown knows of none with channelz off.
  await Promise.race([closed, sleep(SHUTDOWN_LIMIT_MS, undefined, { ref: false })])
}
