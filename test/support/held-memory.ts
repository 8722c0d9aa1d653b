import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PROBE = new URL('./held-memory-probe.js', import.meta.url).href
/** Longer than the probe's interval. */
const PERIOD_MS = 1_500

/** The environment of an agent whose memory is to be measured; `dir` must exist and be empty. */
export function probedEnvironment(dir: string): NodeJS.ProcessEnv {
  return { NODE_OPTIONS: `--import ${PROBE}`, HELD_MEMORY_DIR: dir }
}

/** What all threads of that agent hold, MiB: the least of some moments, since something is always under way. */
export async function heldMemoryMiB(dir: string): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    await sleep(PERIOD_MS)
    const bytes = readdirSync(dir).map((thread) => Number(readFileSync(join(dir, thread), 'utf8')))
    least = Math.min(least, bytes.reduce((sum, some) => sum + some, 0) / 2 ** 20)
  }
  return least
}
