import { once } from 'node:events'
import { type ServerUnaryCall, type ServerWritableStream, status } from '@grpc/grpc-js'
import type { HealthCheckRequest__Output } from '../../generated/grpc/health/v1/HealthCheckRequest.js'
import type { HealthCheckResponse } from '../../generated/grpc/health/v1/HealthCheckResponse.js'
import type { HealthListResponse } from '../../generated/grpc/health/v1/HealthListResponse.js'
import type { AgentState } from '../../host/agent-state.js'
import { AGENT_SERVICE, OPERATIONS } from '../../proto.js'
import { RpcError } from './handler.js'

/** The empty name is the whole agent. */
const NAMES: ReadonlySet<string> = new Set(['', AGENT_SERVICE, OPERATIONS])

/**
 * The health of an agent's services (gRPC Health Checking Protocol), which is the same for all of them: SERVING while the
 * agent takes new executions.
 */
export class StandardHealth {
  constructor(private readonly state: AgentState) {}

  check({ request: { service } }: ServerUnaryCall<HealthCheckRequest__Output, unknown>): HealthCheckResponse {
    if (!NAMES.has(service)) throw new RpcError(status.NOT_FOUND, `there is no service ${service} here`)
    return this.now()
  }

  list(): HealthListResponse {
    return { statuses: Object.fromEntries([...NAMES].map((name) => [name, this.now()])) }
  }

  /** Tells of the health now and of each change, until the caller hangs up or `closing` is aborted. */
  async watch(
    call: ServerWritableStream<HealthCheckRequest__Output, HealthCheckResponse>,
    closing: AbortSignal,
  ): Promise<void> {
    const { service } = call.request
    let last: HealthCheckResponse['status']
    const tell = () => {
      const now: HealthCheckResponse = NAMES.has(service) ? this.now() : { status: 'SERVICE_UNKNOWN' }
      if (now.status === last) return
      last = now.status
      call.write(now)
    }
    tell()
    const leave = this.state.onChange(tell)
    try {
      if (!call.cancelled) await once(call, 'cancelled', { signal: closing })
    } catch {
      throw new RpcError(status.UNAVAILABLE, 'agent is stopping')
    } finally {
      leave()
    }
  }

  private now(): HealthCheckResponse {
    return { status: this.state.current.kind === 'serving' ? 'SERVING' : 'NOT_SERVING' }
  }
}
