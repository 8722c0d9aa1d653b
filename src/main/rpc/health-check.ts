import type { HealthCheckResponse } from '../../generated/flux/HealthCheckResponse.js'
import { VERSION } from '../../version.js'
import type { Executions } from '../executions/executions.js'
import type { Identity } from '../store/identity.js'

/** Healthy while it takes executions; an agent that is stopping is not, nor one whose name another has. */
export function healthCheck(executions: Executions, identity: Identity, problems: string[]): HealthCheckResponse {
  return { healthy: !executions.draining && identity.lost === undefined, version: VERSION, problems }
}
