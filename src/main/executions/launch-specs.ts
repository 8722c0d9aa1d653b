import { join } from 'node:path'
import { enforcedLimits } from '../../host/limits.js'
import type { NodeAddresses } from '../../host/node-addresses.js'
import type { RunAs } from '../../os/platform.js'
import type { CodeVersion, FunctionUsers, LaunchSpec } from '../../threads/messages.js'
import type { FunctionLease } from '../functions/functions.js'

/** A launch spec, and the parts it was made of. */
interface Made extends Pick<FunctionLease, 'settings' | 'version' | 'warnings'> {
  readonly variables: NodeAddresses['variables']
  readonly spec: LaunchSpec
}

/** Launch specs of functions. Main thread only. */
export class LaunchSpecs {
  private readonly made = new Map<string, Made>()

  constructor(
    private readonly node: Pick<NodeAddresses, 'variables'>,
    private readonly users: FunctionUsers,
  ) {}

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
    const runAs = userOf(this.users, version)
    const spec: LaunchSpec = {
      functionName: settings.name,
      versionDir: version.dir,
      handler: settings.handler,
      ...(runAs && { runAs }),
      sandboxed: this.users.kind === 'separate',
      env: { ...cacheVariables(version), ...settings.env, ...variables },
      timeoutSeconds: settings.timeoutSeconds,
      limits: enforcedLimits(settings),
      ...(warnings.length > 0 && { warnings }),
    }
    this.made.set(settings.name, { settings, version, warnings, variables, spec })
    return spec
  }
}

/** The user that runs a version; undefined: the agent's own. */
function userOf(users: FunctionUsers, { uid }: CodeVersion): RunAs | undefined {
  if (users.kind === 'agent') return undefined
  return uid === undefined ? users.runAs : { ...users.runAs, uid, gid: uid }
}

/** Where interpreters keep compiled code; the function's own variables come before these. */
function cacheVariables({ cacheDir }: CodeVersion): Record<string, string> {
  if (cacheDir === undefined) return {}
  return {
    PYTHONPYCACHEPREFIX: join(cacheDir, 'python'),
    NODE_COMPILE_CACHE: join(cacheDir, 'node'),
    // Itself, as there are programs that do not make missing folders above theirs.
    XDG_CACHE_HOME: cacheDir,
  }
}
