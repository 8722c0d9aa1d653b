import type { AgentConfig } from '../../config/config.js'
import { drainedSince } from '../../host/drained.js'
import { type Finding, ok, warn } from './finding.js'

/** Checks whether an operator has the agent drained. */
export function checkDrain({ stateDir }: AgentConfig): Finding {
  try {
    const since = drainedSince(stateDir)
    if (!since) return ok('drain', 'not drained')
    const drained = `drained since ${since.toISOString()}: no new executions are taken`
    return warn('drain', drained, 'end that by `flux-agent resume`')
  } catch (error) {
    return warn('drain', `not checked: ${(error as Error).message}`)
  }
}
