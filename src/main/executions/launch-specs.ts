import { enforcedLimits } from '../../host/limits.js'
import type { NodeAddresses } from '../../host/node-addresses.js'
import type { LaunchSpec } from '../../threads/messages.js'
import type { FunctionLease } from '../functions/functions.js'

/** A launch spec, and the parts it was made of. */
interface Made extends Pick<FunctionLease, 'settings' | 'version' | 'warnings'> {
  readonly variables: NodeAddresses['variables']
  readonly spec: LaunchSpec
}

/** Launch specs of functions. Main thread only. */
export class LaunchSpecs {
  private readonly made = new Map<string, Made>()

  constructor(private readonly node: Pick<NodeAddresses, 'variables'>) {}

  /** Answers the same object while nothing changes, so that each worker is sent it once. */
  of({ settings, version, warnings }: FunctionLease): LaunchSpec {
    const { variables } = this.node
    const made = this.made.get(settings.name)
    if (
      made?.settings === settings &&
      made.version === version &&
      made.warnings === warnings &&
      made.variables === variables
    ) {
      return made.spec
    }
    const spec: LaunchSpec = {
      functionName: settings.name,
      versionDir: version.dir,
      handler: settings.handler,
      env: { ...settings.env, ...variables },
      timeoutSeconds: settings.timeoutSeconds,
      limits: enforcedLimits(settings),
      ...(warnings.length > 0 && { warnings }),
    }
    this.made.set(settings.name, { settings, version, warnings, variables, spec })
    return spec
  }
}
