import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The first truthy answer of `probe`, asked again every few milliseconds. Throws when there is none in time: an error
 * that names `what` should have happened, caused by what `probe` threw last.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  withinSeconds = 10,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + 1000 * withinSeconds
  for (;;) {
    let failure: unknown
    try {
      const answer = await probe()
      if (answer) return answer
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinSeconds} s: ${what}`, { cause: failure })
    }
    await sleep(10)
  }
}
