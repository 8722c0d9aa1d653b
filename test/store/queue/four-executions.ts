import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { untilDurable } from '../../../src/store/queue/pending.js'
import type { WriteQueue } from '../../../src/store/queue/write-queue.js'
import type { Store } from '../../../src/store/store.js'
import { ended, noise, output, running } from '../records.js'

export const MiB = 1024 * 1024
const PIECE = 32 * 1024
const WINDOW = 512 * 1024

export const IDS = ['a', 'b', 'c', 'd']
const BYTES = noise(8 * MiB)
const OFFSETS = Array.from({ length: BYTES.length / PIECE }, (_, index) => index * PIECE)

/** What happens when so many bytes of each have been pushed. */
export type Happenings = Readonly<Record<number, () => unknown>>

export interface Produced {
  /** What the store has, in the order in which it was told. */
  readonly stored: readonly string[]
  /** The most bytes in memory. */
  readonly peak: number
}

/**
 * Pushes the output of four executions as functions would, each of which waits while WINDOW bytes of its own are neither
 * in the store nor on disk.
 */
export async function produce(queueOf: (id: string) => WriteQueue, happenings: Happenings): Promise<Produced> {
  const stored: string[] = []
  const unsafe = new Map<string, Promise<void>[]>(IDS.map((id) => [id, []]))
  const queues = new Map(IDS.map((id) => [id, queueOf(id)]))
  const push = (id: string, write: Parameters<WriteQueue['push']>[0], what: string | number) =>
    (queues.get(id) as WriteQueue).push(write, () => stored.push(`${id} ${what}`))
  let inMemory = 0
  let peak = 0
  for (const id of IDS) push(id, { kind: 'begin', record: running(id) }, 'begins')
  for (const at of OFFSETS) {
    await happenings[at]?.()
    for (const id of IDS) {
      const own = unsafe.get(id) ?? []
      if (own.length * PIECE >= WINDOW) await own.shift()
      const write = push(id, output(id, at, BYTES.subarray(at, at + PIECE)), at)
      inMemory += PIECE
      peak = Math.max(peak, inMemory)
      own.push(
        untilDurable(write).then(() => {
          inMemory -= PIECE
        }),
      )
    }
    await turn()
  }
  for (const id of IDS) push(id, { kind: 'end', record: { ...ended(id), output_bytes: BYTES.length } }, 'ends')
  return { stored, peak }
}

/** Asserts that the store was told of everything, once and in order, and has it. */
export async function assertWhole(store: Store, stored: readonly string[]): Promise<void> {
  for (const id of IDS) {
    assert.deepEqual(
      stored.filter((one) => one.startsWith(`${id} `)),
      [`${id} begins`, ...OFFSETS.map((at) => `${id} ${at}`), `${id} ends`],
    )
    assert.deepEqual(await store.record(id), { ...ended(id), output_bytes: BYTES.length })
    assert.equal(Buffer.compare(await store.output(id, 0, 1e9), BYTES), 0)
  }
}

/** In the order of one queue for all. */
export const IN_ORDER = [
  ...IDS.map((id) => `${id} begins`),
  ...OFFSETS.flatMap((at) => IDS.map((id) => `${id} ${at}`)),
  ...IDS.map((id) => `${id} ends`),
]
