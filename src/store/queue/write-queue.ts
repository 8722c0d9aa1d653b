import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Patience } from '../../time/patience.js'
import { type Store, StoreUnavailable, type StoreWrite } from '../store.js'
import { LateBegins } from './late-begins.js'
import { batchFrom, costOf, entriesFrom, outputOf, type PendingWrite, QueuedWrite } from './pending.js'
import { SpillFile } from './spill-file.js'
import { type SpillEvent, Spiller } from './spiller.js'

const KiB = 1024
const MiB = 1024 * KiB

/** A batch without an answer for this long: the store is away. */
const SLOW_ANSWER_MS = 1_000
const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 1_000
/** While the store keeps up: one execution's own pending bytes, and from which total on a smaller share. */
const OWN_BYTES = 256 * KiB
const CROWDED_BYTES = 16 * MiB
const CROWDED_OWN_BYTES = 64 * KiB

export interface WriteQueueOptions {
  readonly store: Pick<Store, 'write'>
  /** Where the queue may make a folder, named by its id, for what does not fit into memory. */
  readonly dir: string
  /** Pending bytes from which on the queue is `full`. */
  readonly boundBytes: number
  readonly report: (event: QueueEvent) => void
  /** Bytes of one file on disk; 16 MiB. */
  readonly segmentBytes?: number
}

/** What an operator wants to know. */
export type QueueEvent =
  | SpillEvent
  | { readonly kind: 'away'; readonly cause: Error }
  /** The store refuses the writes, and will until somebody has changed something; they wait as while it is away. */
  | { readonly kind: 'refused'; readonly cause: Error }
  | { readonly kind: 'back' }
  /** Another execution had this id when the store heard of this one, whose record and output are given up. */
  | { readonly kind: 'taken'; readonly id: string }

/**
 * Writes on their way to the store, in order, in batches, one batch at a time. While the store is away all of them go to
 * the disk, the oldest first: whenever this process is killed, what is there continues what the store has, without a
 * gap. Nothing that was pushed is given up. Used on one thread only.
 *
 * The list runs from the oldest to the newest, and its parts are, from the oldest on: on disk; in memory, `leaving` for
 * the disk. Where neither is, all of it is in memory.
 */
export class WriteQueue {
  /** Pending bytes from which on it is `full`. */
  boundBytes: number
  /** Unique; names the queue's folder. */
  readonly id = `${process.pid}-${randomBytes(8).toString('hex')}`

  readonly #store: Pick<Store, 'write'>
  readonly #file: SpillFile
  readonly #spiller: Spiller
  readonly #report: (event: QueueEvent) => void
  readonly #late = new LateBegins()

  #head: QueuedWrite | undefined
  #tail: QueuedWrite | undefined
  #bytes = 0
  #away = false
  #refused = false
  #draining = false
  readonly #closing = new AbortController()
  #change: { readonly happened: Promise<void>; readonly announce: () => void } | undefined

  constructor(options: WriteQueueOptions) {
    this.#store = options.store
    this.#report = options.report
    this.boundBytes = options.boundBytes
    this.#file = new SpillFile(join(options.dir, this.id), options.segmentBytes ?? 16 * MiB)
    this.#spiller = new Spiller({
      file: this.#file,
      report: options.report,
      changed: () => this.#changed(),
      closing: this.#closing.signal,
    })
  }

  /** The store does not take writes now, or has not answered for a second. */
  get away(): boolean {
    return this.#away
  }

  /** So much is pending that no new work should be accepted. Pushes are, still. */
  get full(): boolean {
    return this.#bytes > this.boundBytes
  }

  /**
   * Always accepted. `stored` is called once the store has it, in the order of the pushes, with the bytes of an output
   * write (empty for others), or without where they came back damaged from the disk; it must not throw.
   */
  push(write: StoreWrite, stored?: (bytes: Buffer | undefined) => void): PendingWrite {
    if (this.#closed) throw new Error('the write queue is closed')
    const length = write.kind === 'output' ? write.bytes.length : JSON.stringify(write.record).length
    const entry = new QueuedWrite(write, length, stored, this.#file)
    if (this.#tail) this.#tail.next = entry
    else this.#head = entry
    this.#tail = entry
    this.#bytes += costOf(entry)
    if (this.#away || this.#spiller.inUse) this.#spiller.spill(entry)
    if (!this.#draining) {
      this.#draining = true
      // Not at once: what one execution does in one turn of the event loop goes in one batch.
      setImmediate(() => void this.#drain())
    }
    return entry
  }

  /** Whether an execution with so many bytes pending should not produce more before the next `relief`. */
  mustWait(ownPending: number): boolean {
    if (this.#spiller.isStuck) return true
    if (this.#away) return this.#spiller.isBehind
    const inMemory = this.#bytes - this.#spiller.diskBytes
    return ownPending > OWN_BYTES || (inMemory > CROWDED_BYTES && ownPending > CROWDED_OWN_BYTES)
  }

  /** Resolves at the next change that may end a `mustWait`. */
  relief(): Promise<void> {
    if (this.#change === undefined) {
      let announce = () => {}
      const happened = new Promise<void>((resolve) => {
        announce = resolve
      })
      this.#change = { happened, announce }
    }
    return this.#change.happened
  }

  /**
   * Stops. What is pending, a batch in flight included, is brought to the disk for replayLeftovers, and no `stored`
   * follows any more. Rejects where the disk does not take it.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closing.abort()
    this.#changed()
    await this.#spiller.close(this.#head)
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted
  }

  async #drain(): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    while (this.#head && !this.#closed) {
      const batch = batchFrom(this.#head)
      const writes = await this.#spiller.load(batch)
      const failure = await this.#send(writes.filter((write) => write !== undefined))
      if (this.#closed) return
      if (failure === undefined) {
        this.#landed(batch, writes)
        retryMs = FIRST_RETRY_MS
      } else {
        this.#goAway(failure)
        await this.#pause(retryMs)
        retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)
      }
    }
    this.#draining = false
  }

  /** Why the store did not take them. One that only takes long is away meanwhile, but nothing is sent again. */
  async #send(batch: readonly StoreWrite[]): Promise<Error | undefined> {
    const patience = new Patience(SLOW_ANSWER_MS, () => this.#goAway(new Error('no answer for a second')))
    try {
      const taken = await this.#store.write(this.#late.allowed(batch))
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
      // Whoever keeps the entry keeps neither its bytes nor all that came after it.
      entry.write = undefined
      entry.spilled = undefined
      entry.leaving = false
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
    this.#changed()
  }

  #goAway(cause: Error): void {
    if (this.#closed) return
    const refused = cause instanceof StoreUnavailable && cause.permanent
    if (refused ? this.#refused : this.#away) return
    this.#refused = refused
    this.#report({ kind: refused ? 'refused' : 'away', cause })
    if (this.#away) return
    this.#away = true
    // Otherwise all that is in memory is leaving already.
    if (!this.#spiller.inUse) for (const entry of entriesFrom(this.#head)) this.#spiller.spill(entry)
    this.#changed()
  }

  #changed(): void {
    this.#change?.announce()
    this.#change = undefined
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined)
  }
}

const errorOf = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))
