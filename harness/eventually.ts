import { setTimeout as sleep } from 'node:timers/promises'

const LEAST_PAUSE_MS = 10
/** After a long wait. */
const LONG_PAUSE_MS = 200
/** After a long look. */
const MOST_PAUSE_MS = 1_000

/**
 * Calls `probe` until its answer is truthy, and answers that: every few milliseconds, less often where a call takes
 * long or the wait does. Throws at the time limit: an error that names `what` should have happened, caused by what
 * `probe` threw last.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  withinSeconds = 10,
): Promise<NonNullable<T>> {
  const start = performance.now()
  const deadline = start + 1000 * withinSeconds
  for (;;) {
    let failure: unknown
    const begun = performance.now()
    try {
      const answer = await probe()
      if (answer) return answer
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinSeconds} s: ${what}`, { cause: failure })
    }
    // Looks take at most a tenth of the processor, which what is waited for needs as well.
    const now = performance.now()
    const pause = Math.max(LEAST_PAUSE_MS, Math.min(LONG_PAUSE_MS, (now - start) / 10), 9 * (now - begun))
    await sleep(Math.min(MOST_PAUSE_MS, pause))
  }
}
