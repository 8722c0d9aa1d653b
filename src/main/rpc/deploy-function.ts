import type { ServerUnaryCall } from '@grpc/grpc-js'
import type { DeploymentAck } from '../../generated/flux/DeploymentAck.js'
import type { DeploymentPackage__Output } from '../../generated/flux/DeploymentPackage.js'
import type { Registrations } from '../functions/registrations.js'
import { validateFunction } from '../functions/validation.js'
import type { Counts } from '../metrics/counts.js'
import { ackOf, callerOf } from './register-function.js'

/** Unpacks the archive into a new version and puts it to use, with the configuration that comes with it. */
export async function deployFunction(
  registrations: Registrations,
  counts: Counts | undefined,
  call: ServerUnaryCall<DeploymentPackage__Output, DeploymentAck>,
): Promise<DeploymentAck> {
  const { function_name: name, code_archive: archive, config } = call.request
  const brought = config ? validateFunction(config) : undefined
  if (brought && !brought.ok) return refused(brought.message)
  if (brought && brought.value.name !== name) {
    return refused(`function_name ${JSON.stringify(name)} and config.name ${JSON.stringify(brought.value.name)} differ`)
  }
  const begun = performance.now()
  const change = await registrations.deploy(name, brought?.value, archive, callerOf(call))
  counts?.deployed(change.kind, performance.now() - begun)
  return ackOf(change)
}

function refused(message: string): DeploymentAck {
  return { success: false, message }
}
