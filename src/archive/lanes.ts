/**
 * Does something with each item, with up to so many at a time. After a failure it begins no other, and rejects once those
 * under way have ended.
 */
export async function inLanes<T>(items: Iterable<T>, atOnce: number, act: (item: T) => Promise<void>): Promise<void> {
  // A `for` that throws closes the shared generator, which ends the other lanes at their next item.
  const queue = (function* () {
    yield* items
  })()
  const lanes = Array.from({ length: atOnce }, async () => {
    for (const item of queue) await act(item)
  })
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
