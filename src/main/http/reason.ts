import type { State } from '../../host/agent-state.js'

/** Why an agent takes no executions, in words; undefined where its state says all. */
export function reasonOf(state: State): string | undefined {
  if ('cause' in state) return state.cause
  if (state.kind === 'draining') return `by an operator, since ${state.since.toISOString()}; flux-agent resume ends it`
  if (state.kind === 'stopping') return `executions may run until ${state.until.toISOString()}`
  return undefined
}
