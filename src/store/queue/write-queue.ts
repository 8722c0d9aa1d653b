import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from '../../time/backoff.js'
import { Patience } from '../../time/patience.js'
import { type Store, StoreUnavailable, type StoreWrite } from '../store.js'
import { LateBegins } from './late-begins.js'
import { batchFrom, costOf, entriesFrom, outputOf, type PendingWrite, QueuedWrite } from './pending.js'
import { SpillFile } from './spill-file.js'
import { type SpillEvent, Spiller } from './spiller.js'

const MiB = 1024 * 1024

/** The store counts as unavailable when a batch has had no answer for this long. */
const SLOW_ANSWER_MS = 1_000
const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 1_000

export interface WriteQueueOptions {
  readonly store: Pick<Store, 'write'>
  /** The folder in which the queue may make one of its own, named by its id, for writes that go to disk. */
  readonly dir: string
  /** Pending bytes beyond which the queue is `full`. */
  readonly boundBytes: number
  readonly report: (event: QueueEvent) => void
  /** Called for each batch that the store has taken, with how long that took. */
  readonly measured?: ((writes: number, ms: number) => void) | undefined
  /** Unique; default: a random one. */
  readonly id?: string
  /** Size of one file on disk, bytes; default 16 MiB. */
  readonly segmentBytes?: number
}

/** What waits for the store. */
export interface QueueState {
  readonly memoryBytes: number
  readonly diskBytes: number
  /** For how long the store has taken no write that it was sent; 0: it takes them, as far as known. */
  readonly awayMs: number
}

/** Events for the log. */
export type QueueEvent =
  | SpillEvent
  | { readonly kind: 'away'; readonly cause: Error }
  /** The store refuses writes until somebody changes something; they wait as in an outage. */
  | { readonly kind: 'refused'; readonly cause: Error }
  | { readonly kind: 'back' }
  /** Another execution had this id in the store first; this one's record and output are dropped. */
  | { readonly kind: 'taken'; readonly id: string }

/**
 * Writes on their way to the store, in order, one batch at a time. While the store is unavailable all of them go to
 * disk, the oldest first. So a kill at any moment leaves no gap between what the store has and what the disk has.
 * No accepted write is dropped. Used on one thread only.
 * The list runs from the oldest write to the newest.
 */
export class WriteQueue {
  /** Pending bytes beyond which it is `full`. */
  boundBytes: number
  /** Unique; names the queue's folder. */
  readonly id: string

  readonly #store: Pick<Store, 'write'>
  readonly #file: SpillFile
  readonly #spiller: Spiller
  readonly #report: (event: QueueEvent) => void
  readonly #measured: WriteQueueOptions['measured']
  readonly #late = new LateBegins()

  #head: QueuedWrite | undefined
  #tail: QueuedWrite | undefined
  #bytes = 0
  #away = false
  #awaySince = 0
  #refused = false
  #draining = false
  readonly #closing = new AbortController()

  constructor(options: WriteQueueOptions) {
    this.id = options.id ?? `${process.pid}-${randomBytes(8).toString('hex')}`
    this.#store = options.store
    this.#report = options.report
    this.#measured = options.measured
    this.boundBytes = options.boundBytes
    this.#file = new SpillFile(join(options.dir, this.id), options.segmentBytes ?? 16 * MiB)
    this.#spiller = new Spiller({
      file: this.#file,
      report: options.report,
      closing: this.#closing.signal,
    })
  }

  /** Whether the store rejects writes, or has not answered for a second. */
  get away(): boolean {
    return this.#away
  }

  get state(): QueueState {
    const { diskBytes } = this.#spiller
    const awayMs = this.#away ? performance.now() - this.#awaySince : 0
    return { memoryBytes: this.#bytes - diskBytes, diskBytes, awayMs }
  }

  /** Whether it takes no write any more. */
  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Whether so much is pending that no new work should be accepted. Writes still are. */
  get full(): boolean {
    return this.#bytes > this.boundBytes
  }

  /**
   * Adds a write; always accepted. `stored` is called once the store has it, in the order of the pushes, with the bytes
   * of an output write (empty for others), or with undefined where they were damaged on disk. It must not throw. Throws
   * once the queue is closed.
   */
  push(write: StoreWrite, stored?: (bytes: Buffer | undefined) => void): PendingWrite {
    if (this.closed) throw new Error('the write queue is closed')
    const length = write.kind === 'output' ? write.bytes.length : JSON.stringify(write.record).length
    const entry = new QueuedWrite(write, length, stored, this.#file)
    if (this.#tail) this.#tail.next = entry
    else this.#head = entry
    this.#tail = entry
    this.#bytes += costOf(entry)
    if (this.#away || this.#spiller.inUse) this.#spiller.spill(entry)
    if (!this.#draining) {
      this.#draining = true
      // In the next turn, so that one batch takes all that an execution pushes in this one.
      setImmediate(() => void this.#drain())
    }
    return entry
  }

  /**
   * Stops. Puts pending writes on disk for replayLeftovers, including a batch in flight; `stored` is not called any
   * more. Rejects with the disk's error.
   */
  async close(): Promise<void> {
    if (this.closed) return
    this.#closing.abort()
    await this.#spiller.close(this.#head)
  }

  async #drain(): Promise<void> {
    const backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
    while (this.#head && !this.closed) {
      const batch = batchFrom(this.#head)
      const writes = await this.#spiller.load(batch)
      const failure = await this.#send(writes.filter((write) => write !== undefined))
      if (this.closed) return
      if (failure === undefined) {
        this.#landed(batch, writes)
        backoff.succeeded()
      } else {
        this.#goAway(failure)
        await this.#pause(backoff.failed())
      }
    }
    this.#draining = false
  }

  /**
   * Sends a batch; answers why the store rejected it. A batch without an answer counts as an outage meanwhile, but is
   * not sent again.
   */
  async #send(batch: readonly StoreWrite[]): Promise<Error | undefined> {
    const patience = new Patience(SLOW_ANSWER_MS, () => this.#goAway(new Error('no answer for a second')))
    const begun = performance.now()
    try {
      const taken = await this.#store.write(this.#late.allowed(batch))
      this.#measured?.(batch.length, performance.now() - begun)
      for (const id of taken) this.#report({ kind: 'taken', id })
      this.#late.note(batch, taken)
      return undefined
    } catch (error) {
      return errorOf(error)
    } finally {
      patience.end()
    }
  }

  #landed(batch: readonly QueuedWrite[], writes: readonly (StoreWrite | undefined)[]): void {
    for (const entry of batch) {
      this.#head = entry.next
      this.#bytes -= costOf(entry)
      this.#spiller.release(entry)
      // So that a reference to the entry holds neither its bytes nor the entries after it.
      entry.write = undefined
      entry.spilled = undefined
      entry.next = undefined
      entry.announceDurable(true)
    }
    if (this.#head === undefined) this.#tail = undefined
    if (this.#away) {
      this.#away = false
      this.#refused = false
      this.#report({ kind: 'back' })
    }
    for (const [index, entry] of batch.entries()) {
      const write = writes[index]
      entry.stored?.(write && outputOf(write))
    }
  }

  #goAway(cause: Error): void {
    if (this.closed) return
    const refused = cause instanceof StoreUnavailable && cause.permanent
    if (refused ? this.#refused : this.#away) return
    this.#refused = refused
    this.#report({ kind: refused ? 'refused' : 'away', cause })
    if (this.#away) return
    this.#away = true
    this.#awaySince = performance.now()
    // While the disk is in use, all writes in memory are leaving for it already.
    if (!this.#spiller.inUse) for (const entry of entriesFrom(this.#head)) this.#spiller.spill(entry)
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined)
  }
}

const errorOf = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))
