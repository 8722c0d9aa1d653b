import { randomBytes } from 'node:crypto'
import type { Store } from '../store.js'
import { type QueueEvent, type QueueState, WriteQueue, type WriteQueueOptions } from './write-queue.js'

export interface WriteQueuesOptions extends Omit<WriteQueueOptions, 'store' | 'report' | 'id'> {
  readonly store: Pick<Store, 'write' | 'nodeOf'>
  /** `node`: see Store.nodeOf. */
  readonly report: (event: QueueEvent, node: string) => void
}

/** A write queue for each node of the store, so that one that is away holds up none of the others' executions. */
export class WriteQueues {
  /** Unique; the folders of its queues begin with it. */
  readonly id = `${process.pid}-${randomBytes(8).toString('hex')}`
  readonly #options: WriteQueuesOptions
  /** By the name of the node. */
  readonly #queues = new Map<string, WriteQueue>()
  #boundBytes: number
  #closed = false

  constructor(options: WriteQueuesOptions) {
    this.#options = options
    this.#boundBytes = options.boundBytes
  }

  /** Pending bytes, in equal shares for all queues, beyond which a queue is full. */
  set boundBytes(bytes: number) {
    this.#boundBytes = bytes
    for (const queue of this.#queues.values()) queue.boundBytes = bytes / this.#queues.size
  }

  /** Of all queues together; away: of the one that has been away for longest. */
  get state(): QueueState {
    const sum = { memoryBytes: 0, diskBytes: 0, awayMs: 0 }
    for (const { state } of this.#queues.values()) {
      sum.memoryBytes += state.memoryBytes
      sum.diskBytes += state.diskBytes
      sum.awayMs = Math.max(sum.awayMs, state.awayMs)
    }
    return sum
  }

  /**
   * The queue for an execution: call once for each, as all of its writes have to go through one queue, wherever its
   * records move in the meantime.
   */
  for(id: string): WriteQueue {
    const node = this.#options.store.nodeOf(id)
    const known = this.#queues.get(node)
    if (known) return known
    const { report, ...options } = this.#options
    const queue = new WriteQueue({
      ...options,
      id: `${this.id}-${this.#queues.size}`,
      report: (event) => report(event, node),
    })
    this.#queues.set(node, queue)
    this.boundBytes = this.#boundBytes
    if (this.#closed) void queue.close()
    return queue
  }

  /** Closes all; see WriteQueue.close. Rejects with the disk's first error. */
  async close(): Promise<void> {
    this.#closed = true
    const closed = await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }
}

/** Whether the folder of that name is one of the queues with this id. */
export const isQueueOf = (id: string, folder: string) => folder.startsWith(`${id}-`)
