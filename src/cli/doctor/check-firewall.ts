import type { AgentConfig } from '../../config/config.js'
import { networkTargetText } from '../../config/network-target.js'
import { asksForSeparate } from '../../host/run-as.js'
import { runFolder } from '../../host/run-folder.js'
import { openProblem, ownPorts, rulesFor } from '../../main/function-firewall.js'
import { SHARED } from '../../main/start/start-firewall.js'
import { platform } from '../../os/index.js'
import type { InspectedIsolation } from '../../os/platform.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** Checks whether functions are kept from the agent, its store and what network.deny names. */
export async function checkFirewall(config: AgentConfig, { notSeparate }: InspectedIsolation): Promise<Finding[]> {
  const { stateDir, deny, isolation } = config
  const isSeparate = asksForSeparate(config) && !notSeparate
  const wrong = isolation.required && deny.length > 0 ? fail : warn
  const firewall = platform.firewall(stateDir, runFolder(stateDir))
  if (!firewall || !isSeparate) {
    return deny.length === 0
      ? []
      : [wrong('network', `network.deny: ${SHARED}`, 'have functions separate, or take it out')]
  }
  const rules = await rulesFor(config, ownPorts(config))
  const problem = await firewall.problem(rules)
  if (problem) return [wrong('network', openProblem(problem), problem.fix)]
  const what = [...rules.localPorts.map((local) => `port ${local} of this node`), ...deny.map(networkTargetText)]
  return [ok('network', `functions cannot reach ${what.join(', ')}`)]
}
