import { type LimitPolicy, limitProblem } from '../../host/limits.js'
import type { Log } from '../../log/log.js'
import type { FunctionSettings } from '../../store/function.js'
import type { StoredFunction } from '../../threads/messages.js'
import type { Deployer } from './deployer.js'
import { fingerprintOf } from './fingerprint.js'
import type { Functions } from './functions.js'
import { settingsProblem } from './validation.js'

interface Parts {
  readonly functions: Functions
  readonly limits: LimitPolicy
  readonly deployer: Deployer
  readonly log: Log
}

/**
 * At the start: loads stored functions, unless they would be refused today, with the code on this machine. `inUse`:
 * folders of code that is still run.
 */
export async function loadFunctions(
  recovered: readonly FunctionSettings[],
  inUse: ReadonlySet<string>,
  { functions, limits, deployer, log }: Parts,
): Promise<void> {
  const stored = new Map<string, StoredFunction>()
  for (const settings of recovered) {
    const { name, handler } = settings
    stored.set(name, { handler, fingerprint: fingerprintOf(settings) })
    const problem = storedProblem(settings) ?? limitProblem(limits, settings)
    if (problem) {
      log.warn(problem)
      continue
    }
    functions.register(settings)
  }
  const { serving, damaged, unusable, staleCaches } = await deployer.clean(stored, inUse)
  for (const name of damaged) {
    log.warn(`function ${name}: its code had empty files, as after a power cut, and is removed; deploy it again`)
  }
  for (const { name, problem } of unusable) log.warn(`function ${name}: its code does not serve: ${problem}`)
  for (const { name, version, handlerProblem } of serving) {
    functions.serve(name, version)
    const settings = functions.settings(name)
    if (settings) functions.register(settings, handlerProblem)
  }
  for (const { name } of recovered) {
    for (const warning of functions.warnings(name)) log.warn(`function ${name}: ${warning}`)
  }
  deployer.removeCaches(staleCaches, (cause) => log.warn({ cause }, 'old cache not deleted until the next start'))
}

/** Why a stored function is not loaded, and the fix; undefined where it is. */
export function storedProblem(settings: FunctionSettings): string | undefined {
  const problem = settingsProblem(settings)
  return problem && `stored function is not loaded: ${problem}; register it again`
}
