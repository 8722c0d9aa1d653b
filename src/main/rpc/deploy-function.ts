import type { DeploymentAck } from '../../generated/flux/DeploymentAck.js'
import type { DeploymentPackage__Output } from '../../generated/flux/DeploymentPackage.js'
import type { Deployer } from '../deployer.js'
import { limitProblem } from '../limits.js'
import { validateFunction } from '../validation.js'
import { type Registry, register } from './register-function.js'

/**
 * Unpacks the archive into a new version and puts it to use. A configuration that comes with it is registered once the
 * archive is unpacked, so that a bad archive changes nothing.
 */
export async function deployFunction(
  registry: Registry,
  deployer: Deployer,
  { function_name: name, code_archive: archive, config }: DeploymentPackage__Output,
): Promise<DeploymentAck> {
  const brought = config && validateFunction(config)
  if (brought && !brought.ok) return refused(brought.message)
  if (brought && brought.value.name !== name) {
    return refused(`function_name ${JSON.stringify(name)} and config.name ${JSON.stringify(brought.value.name)} differ`)
  }
  const unmet = brought && limitProblem(registry.limits, brought.value)
  if (unmet) return refused(unmet)
  const settings = brought?.value ?? registry.functions.settings(name)
  if (!settings) return refused('function not registered')

  const result = await deployer.deploy(name, settings.handler, archive)
  if (result.kind === 'refused') return refused(result.message)
  if (brought) {
    const problem = await register(registry, brought.value)
    if (problem) return refused(`code unpacked, but ${problem}`)
  }
  // In one turn with the settings: new code under the old handler would be a function that cannot start.
  registry.functions.serve(name, result.version)
  if (result.kind === 'unchanged') return { success: true, message: 'function deployed already' }
  return { success: true, message: ['function deployed', ...result.warnings].join('; warning: ') }
}

function refused(message: string): DeploymentAck {
  return { success: false, message }
}
