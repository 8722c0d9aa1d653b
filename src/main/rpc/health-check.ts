import type { HealthCheckResponse } from '../../generated/flux/HealthCheckResponse.js'
import { VERSION } from '../../version.js'
import type { Executions } from '../executions.js'

/** Healthy while it takes executions; an agent that is stopping is not. */
export function healthCheck(executions: Executions): HealthCheckResponse {
  return { healthy: !executions.draining, version: VERSION }
}
