import type { HealthCheckResponse } from '../../generated/flux/HealthCheckResponse.js'
import type { AgentState } from '../../host/agent-state.js'
import { VERSION } from '../../version.js'

/** Healthy while the agent takes new executions. */
export function healthCheck(state: AgentState, problems: string[]): HealthCheckResponse {
  const { current, drainedSince } = state
  return {
    healthy: current.kind === 'serving',
    version: VERSION,
    problems,
    state: current.kind,
    drained_since: drainedSince?.toISOString() ?? '',
  }
}
