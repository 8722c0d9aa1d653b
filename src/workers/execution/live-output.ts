import { untilDurable } from '../../store/queue/pending.js'
import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { Store } from '../../store/store.js'
import { BLOCK_BYTES, type Block, Output } from './output.js'

/** A block is written at the latest when its first byte has this age. */
const BLOCK_AGE_MS = 50
/** The most stored output that a worker retains in memory, so that most reads need not ask the store. */
const RETAINED_MAX = 16 * 1024 * 1024

/** Bytes retained for all executions of this thread. */
let retained = 0

export interface LiveOutputOptions {
  readonly id: string
  readonly maxBytes: number
  readonly queue: WriteQueue
  readonly store: Pick<Store, 'output'>
  /** So many more bytes of the process's output need not be seen again: they are in the store or on disk, or left out. */
  readonly safe: (bytes: number) => void
  /** What an earlier agent has seen of the output, all of which is safe. */
  readonly from?: number
}

/** Output that is written to the store as it comes: in blocks, each written once, at its offset. */
export class LiveOutput extends Output {
  private readonly options: LiveOutputOptions
  private timer: NodeJS.Timeout | undefined
  /** Retained bytes, from the first, that are in the store or on disk. */
  private durable: number
  /** How much of the process's output is known to be safe. */
  private told: number
  private retainedHere = 0

  constructor(options: LiveOutputOptions) {
    const { maxBytes, from = 0 } = options
    super(maxBytes, from)
    this.options = options
    this.told = from
    this.durable = Math.min(from, maxBytes)
    for (let offset = 0; offset < this.durable; offset += BLOCK_BYTES) {
      const length = Math.min(BLOCK_BYTES, this.durable - offset)
      this.blocks.push({ offset, length, load: () => this.stored(offset, length) })
    }
  }

  override push(chunk: Buffer): void {
    super.push(chunk)
    this.tell()
  }

  /** Frees memory; the output must not be read after that. */
  release(): void {
    retained -= this.retainedHere
    this.retainedHere = 0
  }

  protected override opened(): void {
    this.timer = setTimeout(() => {
      // A closed queue belongs to an agent that hands over: the launcher keeps what is not safe for the next one.
      if (!this.options.queue.closed) this.seal()
    }, BLOCK_AGE_MS)
  }

  protected override seal(): void {
    clearTimeout(this.timer)
    super.seal()
  }

  protected override sealed(offset: number, bytes: Buffer): Block {
    const { length } = bytes
    const write = this.options.queue.push({ kind: 'output', id: this.options.id, offset, bytes }, (stored) => {
      if (stored && this.retain(stored)) block.load = () => stored
      else block.load = () => this.stored(offset, length)
    })
    // Writes reach the store and the disk in the order of their pushes.
    void untilDurable(write).then(() => {
      this.durable = offset + length
      this.tell()
    })
    const block = { offset, length, load: (): Promise<Buffer> | Buffer => write.bytes() }
    return block
  }

  /** What the cap leaves out is only safe once what it retains is. */
  private tell(): void {
    const { head, past } = this.cap
    const safe = this.durable < head ? this.durable : past
    if (safe <= this.told) return
    this.options.safe(safe - this.told)
    this.told = safe
  }

  private stored(offset: number, length: number): Promise<Buffer> {
    return this.options.store.output(this.options.id, offset, offset + length)
  }

  private retain(bytes: Buffer): boolean {
    if (retained + bytes.length > RETAINED_MAX) return false
    retained += bytes.length
    this.retainedHere += bytes.length
    return true
  }
}
