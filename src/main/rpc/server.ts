import type { Server as Listener } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Server, type ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js'
import type { AgentState } from '../../host/agent-state.js'
import type { NodeSampler } from '../../host/node-status.js'
import { AgentServiceDefinition, messageLimits, OperationsDefinition } from '../../proto.js'
import type { AdmissionControl } from '../executions/admission.js'
import type { Executions } from '../executions/executions.js'
import type { NodeDrain } from '../executions/node-drain.js'
import type { Refusals } from '../executions/refusals.js'
import type { WorkerPool } from '../executions/worker-pool.js'
import type { Registrations } from '../functions/registrations.js'
import type { Counts } from '../metrics/counts.js'
import type { Identity } from '../store/identity.js'
import type { Tracing } from '../tracing/tracing.js'
import { cancelExecution } from './cancel-execution.js'
import type { Connections } from './connections.js'
import { deployFunction } from './deploy-function.js'
import { drain, resume } from './drain.js'
import { executeFunction } from './execute-function.js'
import { allowFarDeadlines } from './far-deadlines.js'
import { followOutput } from './follow-output.js'
import { getExecution } from './get-execution.js'
import type { Handlers } from './handler.js'
import { healthCheck } from './health-check.js'
import { listExecutions, UsageSampler } from './list-executions.js'
import { registerFunction } from './register-function.js'
import { reportNodeStatus } from './report-node-status.js'
import { addStandardServices } from './standard-services.js'

/** Time for calls to finish once the server has stopped listening. */
const SHUTDOWN_LIMIT_MS = 2_000

/** A connection whose peer vanished is detected within the sum of both, and its calls end. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 20_000, 'grpc.keepalive_timeout_ms': 20_000 }

/** What the calls work with. */
export interface Services {
  readonly agentId: string
  readonly admission: AdmissionControl
  readonly executions: Executions
  readonly identity: Identity
  readonly state: AgentState
  readonly nodeDrain: NodeDrain
  /** Problems that an operator has to fix. */
  readonly problems: () => string[]
  readonly refusals: Refusals
  readonly pool: WorkerPool
  readonly registrations: Registrations
  readonly sampler: NodeSampler
  /** Absent: nothing is counted. */
  readonly counts: Counts | undefined
  readonly tracing: Tracing | undefined
}

/** Makes the server with every call of both services, which `checkCallers` lets pass. */
export function createServer(services: Services, handlers: Handlers, checkCallers: ServerInterceptor): Server {
  const { executions, identity, state, nodeDrain, refusals, pool, registrations, sampler, counts, tracing } = services
  const usage = new UsageSampler()
  const server = new Server({ ...messageLimits, ...KEEPALIVE, 'grpc.enable_channelz': 0, interceptors: [checkCallers] })
  allowFarDeadlines(server)
  server.addService(AgentServiceDefinition, {
    RegisterFunction: handlers.unary((call) => identity.act(() => registerFunction(registrations, call))),
    DeployFunction: handlers.unary((call) => identity.act(() => deployFunction(registrations, counts, call))),
    ExecuteFunction: handlers.unary((call) => identity.act(() => executeFunction(executions, refusals, tracing, call))),
    CancelExecution: handlers.unary((call) => cancelExecution(executions, call.request)),
    GetExecution: handlers.unary((call) => getExecution(executions, pool, call.request)),
    HealthCheck: handlers.unary(() => healthCheck(state, services.problems())),
    ReportNodeStatus: handlers.unary(() => reportNodeStatus(services, sampler)),
  })
  server.addService(OperationsDefinition, {
    FollowOutput: handlers.streaming((call) => followOutput(executions, pool, call)),
    ListExecutions: handlers.unary(() => listExecutions(executions, usage)),
    Drain: handlers.unary(() => drain(nodeDrain, state)),
    Resume: handlers.unary(() => resume(nodeDrain)),
  })
  addStandardServices(server, state, handlers)
  return server
}

/** The parts of a server. */
export interface Endpoint {
  readonly listener: Listener
  readonly connections: Connections
  readonly server: Server
  readonly handlers: Handlers
}

/**
 * Serves calls on every connection of the listener. Answers a function that stops: the listener closes, and running
 * calls get SHUTDOWN_LIMIT_MS to finish.
 */
export function serve(
  { listener, connections, server, handlers }: Endpoint,
  credentials: ServerCredentials,
): () => Promise<void> {
  const injector = server.createConnectionInjector(credentials)
  connections.accept(listener, injector)
  return async () => {
    listener.close()
    const limit = sleep(SHUTDOWN_LIMIT_MS, undefined, { ref: false })
    // Before anything else: grpc-js drops calls on a closing connection when it sends a keepalive ping.
    await Promise.race([handlers.close(), limit])
    // The last answers may not have left this process yet.
    injector.drain(SHUTDOWN_LIMIT_MS)
    await Promise.race([connections.closed(), limit])
    // A caller that does not read would keep its connection open.
    connections.destroy()
  }
}
