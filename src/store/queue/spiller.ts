import { setTimeout as sleep } from 'node:timers/promises'
import type { StoreWrite } from '../store.js'
import { batchFrom, costOf, entriesFrom, type QueuedWrite, writesOf } from './pending.js'
import type { Spilled, SpillFile } from './spill-file.js'

const RETRY_MS = 1_000

export type SpillEvent =
  /** Writes stay in memory, and functions wait, until the disk takes them again or the store does. */
  | { readonly kind: 'disk-failed'; readonly cause: Error }
  /** So many writes came back from the disk damaged and are given up. */
  | { readonly kind: 'lost'; readonly writes: number; readonly dir: string }

export interface SpillerOptions {
  readonly file: SpillFile
  readonly report: (event: SpillEvent) => void
  /** Aborted when the queue closes. */
  readonly closing: AbortSignal
}

/**
 * Takes a queue's writes to the disk, the oldest first, and reads them back. In the queue's list, the writes on disk come
 * first, then those that wait for it; where there are neither, all are in memory. Used on the queue's thread only.
 */
export class Spiller {
  readonly #options: SpillerOptions
  #firstLeaving: QueuedWrite | undefined
  #diskBytes = 0
  #diskFailed = false
  #running: Promise<void> | undefined

  constructor(options: SpillerOptions) {
    this.#options = options
  }

  /** What the writes on disk take up. */
  get diskBytes(): number {
    return this.#diskBytes
  }

  /** Whether any write is on disk or leaving. While so, later ones have to follow, to keep the order. */
  get inUse(): boolean {
    return this.#diskBytes > 0 || this.#firstLeaving !== undefined
  }

  /** Sends a write to the disk. Call in the order of the list. */
  spill(entry: QueuedWrite): void {
    this.#firstLeaving ??= entry
    this.#running ??= this.#run()
  }

  /** The batch's writes; undefined for each that came back damaged. */
  async load(batch: readonly QueuedWrite[]): Promise<(StoreWrite | undefined)[]> {
    const { file, report } = this.#options
    // Before the read: a write that reaches the disk in the meantime leaves memory.
    const inMemory = batch.map((entry) => entry.write)
    const read = await file.read(batch.flatMap((entry) => entry.spilled ?? []))
    const lost = read.filter((write) => write === undefined).length
    if (lost > 0) report({ kind: 'lost', writes: lost, dir: file.dir })
    return inMemory.map((write) => write ?? read.shift())
  }

  /** The store has this write: frees its place. Call before the write is taken out of the list. */
  release(entry: QueuedWrite): void {
    if (entry === this.#firstLeaving) this.#firstLeaving = entry.next
    if (entry.spilled) {
      this.#diskBytes -= costOf(entry)
      this.#options.file.release(entry.spilled)
    }
  }

  /** Call once `closing` is aborted. Brings what only memory has to the disk; rejects where the disk refuses it. */
  async close(first: QueuedWrite | undefined): Promise<void> {
    await this.#running
    const { file } = this.#options
    try {
      const entries = [...entriesFrom(first)].filter((entry) => entry.write)
      if (entries.length > 0) await file.append(writesOf(entries))
      for (const entry of entries) entry.announceDurable(true)
    } finally {
      await file.close()
    }
  }

  async #run(): Promise<void> {
    const { file, report, closing } = this.#options
    // A turn later, so that one append takes everything that this turn pushes.
    await sleep(0)
    while (this.#firstLeaving && !closing.aborted) {
      const entries = batchFrom(this.#firstLeaving)
      try {
        this.#spilled(entries, await file.append(writesOf(entries)))
      } catch (error) {
        if (!this.#diskFailed) report({ kind: 'disk-failed', cause: error as Error })
        this.#diskFailed = true
        for (const entry of entriesFrom(this.#firstLeaving)) entry.announceDurable(false)
        await sleep(RETRY_MS, undefined, { signal: closing }).catch(() => undefined)
      }
    }
    this.#running = undefined
  }

  /** The store may have taken some of them in the meantime. */
  #spilled(entries: readonly QueuedWrite[], spilled: readonly Spilled[]): void {
    this.#diskFailed = false
    for (const [index, place] of spilled.entries()) {
      const entry = entries[index]
      if (!entry?.write) {
        this.#options.file.release(place)
        continue
      }
      entry.write = undefined
      entry.spilled = place
      this.#diskBytes += costOf(entry)
      this.#firstLeaving = entry.next
      entry.announceDurable(true)
    }
  }
}
