import { setTimeout as sleep } from 'node:timers/promises'
import type { WriteQueue } from '../../../src/store/queue/write-queue.js'

const LOOK_MS = 2

/** Whether no write is pending: with a bound of 0, one is enough to fill the queue. */
export function isEmpty(queue: WriteQueue): boolean {
  const { boundBytes } = queue
  queue.boundBytes = 0
  const { full } = queue
  queue.boundBytes = boundBytes
  return !full
}

/** Waits until every write is stored; false where that takes longer. */
export async function allStored(queue: WriteQueue, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs
  while (!isEmpty(queue) && performance.now() < end) await sleep(LOOK_MS)
  return isEmpty(queue)
}
