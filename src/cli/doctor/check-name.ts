import type { AgentConfig } from '../../config/config.js'
import { lookAtName } from '../../main/store/identity.js'
import { openStore } from '../../store/open.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** Whether the name of the agent is free for it. The store answers; only one agent can open an embedded one. */
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
      warn('name', `${held}, which no longer says that it lives`, `a start waits until its lease ends, in ${left} s`),
    ]
  } catch (error) {
    return [warn('name', `not looked at: ${(error as Error).message}`)]
  } finally {
    await store.close()
  }
}
