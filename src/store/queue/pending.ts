import type { StoreWrite } from '../store.js'
import type { Spilled, SpillFile } from './spill-file.js'

/** The most that one batch holds, for the store and for the disk. */
export const BATCH_BYTES = 1024 * 1024
export const BATCH_WRITES = 500
/** Memory for a waiting write besides its bytes. */
const ENTRY_BYTES = 256

/** A write that waits for the store. */
export interface PendingWrite {
  /** Bytes of the output, or of the record as JSON. */
  readonly length: number
  /**
   * The bytes of an output write, from memory or disk; empty for other writes, and where they were damaged on disk.
   * Only until it is stored.
   */
  bytes(): Promise<Buffer>
  /**
   * Resolves with true once the store or the disk has the write, so that it survives this process; with false when the
   * disk has just refused it, which is retried.
   */
  durable(): Promise<boolean>
}

/** Resolves once the store or the disk has the write. */
export async function untilDurable(write: PendingWrite): Promise<void> {
  while (!(await write.durable()));
}

/** In memory while `write` is set, on disk while `spilled` is set, else stored. Entries form a list by `next`. */
export class QueuedWrite implements PendingWrite {
  next: QueuedWrite | undefined
  spilled: Spilled | undefined
  #watchers: ((durable: boolean) => void)[] | undefined

  constructor(
    public write: StoreWrite | undefined,
    readonly length: number,
    readonly stored: ((bytes: Buffer | undefined) => void) | undefined,
    private readonly disk: Pick<SpillFile, 'read'>,
  ) {}

  async bytes(): Promise<Buffer> {
    if (!this.spilled && !this.write) throw new Error('this write does not wait any more')
    const write = this.spilled ? (await this.disk.read([this.spilled]))[0] : this.write
    return write ? outputOf(write) : Buffer.alloc(0)
  }

  durable(): Promise<boolean> {
    if (!this.write) return Promise.resolve(true)
    return new Promise((resolve) => {
      this.#watchers ??= []
      this.#watchers.push(resolve)
    })
  }

  announceDurable(durable: boolean): void {
    const watchers = this.#watchers ?? []
    this.#watchers = undefined
    for (const watcher of watchers) watcher(durable)
  }
}

export const costOf = (entry: QueuedWrite) => entry.length + ENTRY_BYTES

export const writesOf = (entries: readonly QueuedWrite[]) => entries.flatMap((entry) => entry.write ?? [])

export const outputOf = (write: StoreWrite) => (write.kind === 'output' ? write.bytes : Buffer.alloc(0))

export function* entriesFrom(first: QueuedWrite | undefined): Generator<QueuedWrite> {
  for (let entry = first; entry; entry = entry.next) yield entry
}

/** The oldest writes that fit into one batch; at least one. */
export function batchFrom(first: QueuedWrite): QueuedWrite[] {
  const batch: QueuedWrite[] = []
  let bytes = 0
  for (const entry of entriesFrom(first)) {
    bytes += entry.length
    if (batch.length > 0 && (bytes > BATCH_BYTES || batch.length === BATCH_WRITES)) break
    batch.push(entry)
  }
  return batch
}
