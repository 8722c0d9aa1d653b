import { placeOf } from '../../config/sources.js'
import { StartRefused } from '../../host/start-refused.js'
import { platform } from '../../os/index.js'
import { FunctionFirewall, openProblem, releaseFirewall } from '../function-firewall.js'
import type { StartContext } from './context.js'
import type { Host } from './prepare-host.js'

/**
 * Keeps functions from what they are not to reach, before anything serves; undefined where they have no users of their
 * own. Rejects with StartRefused where network.deny is required and cannot be enforced.
 */
export async function startFirewall(
  { config, log, closers }: StartContext,
  { starter, users }: Host,
): Promise<FunctionFirewall | undefined> {
  const { stateDir, deny, isolation } = config
  const refuse = (why: string) => {
    if (deny.length > 0 && isolation.required) {
      throw new StartRefused(`${placeOf(config, 'network.deny')}: ${why}; or set isolation: best_effort`)
    }
  }
  const firewall = platform.firewall(stateDir, starter.scratchDir)
  if (!firewall || users.kind !== 'separate') {
    if (firewall) {
      // Of an agent whose functions were separate, and may be running.
      await releaseFirewall(firewall, log)
      closers.add(() => releaseFirewall(firewall, log))
    }
    refuse(SHARED)
    if (deny.length > 0) log.warn(`network.deny: ${SHARED}`)
    return undefined
  }
  const functions = new FunctionFirewall(firewall, config, log)
  closers.add(() => functions.close())
  const problem = await functions.refresh()
  if (problem) refuse(`${openProblem(problem)}; ${problem.fix}`)
  return functions
}

/** Why network.deny has no effect. */
export const SHARED = 'not enforced, since functions are not separate'
