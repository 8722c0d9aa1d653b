import type { AgentConfig } from '../../config/config.js'
import { lookAtName } from '../../main/store/identity.js'
import { openStore } from '../../store/open.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** Checks whether the agent's name is free. Call where the store answers. Only one agent can open an embedded store. */
export async function checkName({ agentId, stateDir, store: location }: AgentConfig): Promise<Finding[]> {
  if (location.kind === 'embedded') return []
  const store = await openStore(location)
  try {
    const state = await lookAtName(agentId, stateDir, store)
    if (state.kind === 'free') return [ok('name', `${agentId} is free`)]
    const held = `${agentId} is held by ${state.who}`
    if (state.kind === 'own') return [ok('name', `${held}, with this state_dir`)]
    if (state.alive) return [fail('name', held, 'stop that one, or give this agent another agent_id')]
    const left = Math.ceil((state.leftMs ?? 0) / 1000)
    return [
      warn('name', `${held}, which no longer renews its lease`, `a start waits until its lease ends, in ${left} s`),
    ]
  } catch (error) {
    return [warn('name', `not checked: ${(error as Error).message}`)]
  } finally {
    await store.close()
  }
}
