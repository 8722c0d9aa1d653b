import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The first truthy answer of `probe`, asked again every few milliseconds. Throws when there is none within `withinMs`,
 * with what `probe` threw last.
 */
export async function eventually<T>(probe: () => T | Promise<T>, withinMs = 10_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + withinMs
  for (;;) {
    let failure: unknown
    try {
      const answer = await probe()
      if (answer) return answer
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline) throw new Error(`did not happen within ${withinMs} ms`, { cause: failure })
    await sleep(10)
  }
}
