import type { History, Violation } from './history.js'

const EXAMPLES = 3
const TIMELINE_LINES = 400

/** Everything a person needs to find out why: the seed, what was done to the agent, and what happened to one id. */
export function report(history: History, seed: number, store: string): string {
  const kinds = new Map<string, Violation[]>()
  for (const violation of history.violations)
    kinds.set(violation.kind, [...(kinds.get(violation.kind) ?? []), violation])
  const parts = [
    `${history.violations.length} violations; store ${store}; again with CHAOS_SEED=${seed} CHAOS_STORE=${store}`,
  ]
  for (const [kind, violations] of kinds) {
    parts.push(`\n== ${kind}: ${violations.length}`)
    for (const { what, id } of violations.slice(0, EXAMPLES)) {
      parts.push(`${id ?? ''} ${what}`)
      const track = history.tracks.get(id ?? '')
      if (!track) continue
      const { shape, functionName, async } = track
      parts.push(`    ${shape.name} of ${functionName}, ${async ? 'async' : 'sync'}`)
      for (const event of collapse(track.events)) parts.push(`    ${event}`)
    }
  }
  parts.push('\n== what happened', ...history.timeline.slice(-TIMELINE_LINES))
  return parts.join('\n')
}

/** Without the calls in between that were answered as the one before. */
function collapse(events: readonly string[]): string[] {
  const told = (event: string | undefined) => event?.slice(9)
  return events.filter((event, index) => index < 2 || told(event) !== told(events[index - 2]))
}
