import type { SupervisedProcess } from '../../os/platform.js'
import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { Store } from '../../store/store.js'
import { type Block, Output } from './output.js'

/** A block is written at the latest when its first byte has this age. */
const BLOCK_AGE_MS = 50
/** The most stored output that a worker retains in memory, so that most reads need not ask the store. */
const RETAINED_MAX = 16 * 1024 * 1024

/** Bytes retained for all executions of this thread. */
let retained = 0

/** Output that is written to the store as it comes: in blocks, each written once, at its offset. */
export class LiveOutput extends Output {
  private timer: NodeJS.Timeout | undefined
  private source: SupervisedProcess | undefined
  private holding = false
  /** Bytes of this output that the store does not have yet. */
  private pending = 0
  private retainedHere = 0

  constructor(
    private readonly id: string,
    maxBytes: number,
    private readonly queue: WriteQueue,
    private readonly store: Store,
  ) {
    super(maxBytes)
  }

  /** Pauses this process's output while the store or the disk does not keep up. */
  throttle(source: SupervisedProcess): void {
    this.source = source
  }

  override push(chunk: Buffer): void {
    super.push(chunk)
    if (this.source && !this.holding && this.queue.mustWait(this.pending)) void this.hold(this.source)
  }

  /** Frees memory; the output must not be read after that. */
  release(): void {
    retained -= this.retainedHere
    this.retainedHere = 0
  }

  protected override opened(): void {
    this.timer = setTimeout(() => this.seal(), BLOCK_AGE_MS)
  }

  protected override seal(): void {
    clearTimeout(this.timer)
    super.seal()
  }

  protected override sealed(offset: number, bytes: Buffer): Block {
    const { length } = bytes
    this.pending += length
    const write = this.queue.push({ kind: 'output', id: this.id, offset, bytes }, (stored) => {
      this.pending -= length
      if (stored && this.retain(stored)) block.load = () => stored
      else block.load = () => this.store.output(this.id, offset, offset + length)
    })
    const block = { offset, length, load: (): Promise<Buffer> | Buffer => write.bytes() }
    return block
  }

  private retain(bytes: Buffer): boolean {
    if (retained + bytes.length > RETAINED_MAX) return false
    retained += bytes.length
    this.retainedHere += bytes.length
    return true
  }

  private async hold(source: SupervisedProcess): Promise<void> {
    this.holding = true
    source.pause()
    while (this.queue.mustWait(this.pending)) await this.queue.relief()
    this.holding = false
    source.resume()
  }
}
