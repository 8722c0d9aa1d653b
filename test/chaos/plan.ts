import { setTimeout as sleep } from 'node:timers/promises'
import { FAULTS } from './faults.js'
import type { History } from './history.js'
import { Random } from './random.js'
import type { Site } from './site.js'

/** Names of faults, where no others shall happen. */
const ONLY = process.env['CHAOS_FAULTS']?.split(',')

/** One fault of a round. */
export interface Planned {
  readonly name: string
  /** After the round's start. */
  readonly atMs: number
  readonly lastsMs: number
  /** Of what the fault itself draws. */
  readonly seed: number
}

/** The faults of one round, which may overlap. They depend on the seed alone. */
export function planRound(random: Random, site: Site, roundMs: number): Planned[] {
  const possible = FAULTS.filter((fault) => fault.possible(site) && (!ONLY || ONLY.includes(fault.name)))
  const count = 2 + Math.floor(random.next() * 6)
  return Array.from({ length: count }, () => {
    const { name, longestMs } = random.weighted(possible)
    const atMs = Math.round(random.between(500, roundMs))
    // Short ones are as telling as long ones.
    const lastsMs = Math.round(random.next() ** 2 * longestMs)
    return { name, atMs, lastsMs, seed: Math.floor(random.next() * 2 ** 32) }
  }).sort((a, b) => a.atMs - b.atMs)
}

/** Makes the faults happen; resolves when each is over and healed. */
export async function carryOut(plan: readonly Planned[], site: Site, history: History): Promise<void> {
  // Of one kind one at a time: the first to be healed would end the other.
  const turns = new Map<string, Promise<void>>()
  const begun = performance.now()
  for (const planned of plan) {
    await sleep(Math.max(0, planned.atMs - (performance.now() - begun)))
    const before = turns.get(groupOf(planned.name)) ?? Promise.resolve()
    turns.set(
      groupOf(planned.name),
      before.then(() => suffer(planned, site, history)),
    )
  }
  await Promise.all(turns.values())
}

/** Faults of one group share what they break. */
function groupOf(name: string): string {
  if (name.startsWith('Redis')) return 'Redis'
  return /network|answers/.test(name) ? 'network' : name
}

async function suffer({ name, lastsMs, seed }: Planned, site: Site, history: History): Promise<void> {
  const fault = FAULTS.find((candidate) => candidate.name === name)
  if (!fault) throw new Error(`no fault is called ${name}`)
  history.note(`${name}, for ${lastsMs} ms`)
  const lasting = { name, from: performance.now(), to: Infinity }
  history.faults.push(lasting)
  const heal = await fault.begin(site, new Random(seed), lastsMs)
  await sleep(lastsMs)
  await heal()
  lasting.to = performance.now()
  history.note(`${name}: over`)
}
