import { setTimeout as sleep } from 'node:timers/promises'
import type { Histogram } from 'hdr-histogram-js'
import type { Target } from '../targets/target.js'
import { runLoad } from './load.js'
import { HEALTH_CHECK } from './requests.js'

const INTERVAL_MS = 5
/** Resolves once connected; the checks run from then on. */
const LEAD_MS = 50

/** Checks a target's health every 5 ms during the work; latencies in microseconds, from the time each check was due. */
export async function healthMeanwhile<T>(
  target: Target,
  work: () => Promise<T>,
): Promise<{ readonly outcome: T; readonly health: Histogram }> {
  const checks = runLoad({ target, ...HEALTH_CHECK, pace: { kind: 'every', intervalMs: INTERVAL_MS } })
  try {
    await sleep(LEAD_MS)
    const outcome = await work()
    return { outcome, health: (await checks.stop()).latencies }
  } catch (error) {
    await checks.stop().catch(() => {})
    throw error
  }
}
