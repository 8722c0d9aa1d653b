import type { HealthCheckResponse } from '../../generated/flux/HealthCheckResponse.js'
import { VERSION } from '../../version.js'
import type { Executions } from '../executions/executions.js'
import type { Identity } from '../store/identity.js'

/** Healthy while the agent accepts executions: not while it stops, nor while another agent holds its name. */
export function healthCheck(executions: Executions, identity: Identity, problems: string[]): HealthCheckResponse {
  return { healthy: !executions.draining && identity.lost === undefined, version: VERSION, problems }
}
