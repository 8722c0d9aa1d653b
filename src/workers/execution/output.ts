import { OutputCap } from './output-cap.js'

/** The most bytes that are gathered into one block. */
export const BLOCK_BYTES = 65_536

/** A sealed range of retained output, in memory, on disk or in the store. */
export interface Block {
  readonly offset: number
  readonly length: number
  /** Its bytes; only those before the first missing one. */
  load(): Promise<Buffer> | Buffer
}

/** So many bytes from the requested offset are missing. */
export class Lost {
  constructor(readonly bytes: number) {}
}

/** The range that still grows. Bytes once written stay in place, so that views of it remain valid. */
interface OpenBlock {
  readonly offset: number
  buffer: Buffer
  used: number
}

/**
 * The retained output of one execution, readable from any offset while it grows. Small writes are gathered into blocks,
 * so that memory and cost depend on bytes and not on the number of writes. This class retains everything in memory;
 * LiveOutput also writes it to the store.
 */
export class Output {
  protected readonly cap: OutputCap
  protected readonly blocks: Block[] = []
  private open: OpenBlock | undefined
  private ended = false
  private waiting: (() => void)[] = []

  /** `from`: see OutputCap. */
  constructor(maxBytes: number, from = 0) {
    this.cap = new OutputCap(maxBytes, from)
  }

  /** Bytes retained so far. */
  get length(): number {
    if (this.open) return this.open.offset + this.open.used
    const last = this.blocks.at(-1)
    return last ? last.offset + last.length : 0
  }

  /** Copies what it retains. */
  push(chunk: Buffer): void {
    this.keep(this.cap.push(chunk))
  }

  /** Call once no byte follows. */
  finish(): void {
    this.keep(this.cap.finish())
    this.seal()
    this.ended = true
    this.wake()
  }

  /** Resolves once there is a byte at the offset, or none will follow. */
  async reaches(offset: number): Promise<void> {
    while (this.length <= offset && !this.ended) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  /** Bytes from the offset on, as many as are available in one piece; empty only at or beyond the end. */
  async read(offset: number): Promise<Buffer | Lost> {
    const { open } = this
    if (offset >= this.length) return Buffer.alloc(0)
    if (open && offset >= open.offset) return open.buffer.subarray(offset - open.offset, open.used)
    const block = this.blocks[this.find(offset)] as Block
    const bytes = (await block.load()).subarray(offset - block.offset)
    return bytes.length > 0 ? bytes : new Lost(block.offset + block.length - offset)
  }

  /** Makes a block of bytes that are complete. */
  protected sealed(offset: number, bytes: Buffer): Block {
    return { offset, length: bytes.length, load: () => bytes }
  }

  /** Called when a new block begins. */
  protected opened(): void {}

  /** Seals the block that still grows, if any. */
  protected seal(): void {
    const { open } = this
    if (!open) return
    this.open = undefined
    this.blocks.push(this.sealed(open.offset, open.buffer.subarray(0, open.used)))
  }

  private keep(bytes: Buffer): void {
    if (bytes.length === 0) return
    const { open } = this
    if (open && open.used + bytes.length <= BLOCK_BYTES) {
      if (open.used + bytes.length > open.buffer.length) {
        const larger = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, 2 * (open.used + bytes.length)))
        open.buffer.copy(larger, 0, 0, open.used)
        open.buffer = larger
      }
      open.used += bytes.copy(open.buffer, open.used)
    } else {
      this.seal()
      this.open = { offset: this.length, buffer: copyOf(bytes), used: bytes.length }
      this.opened()
    }
    this.wake()
  }

  private wake(): void {
    const { waiting } = this
    this.waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Index of the last block that begins at the offset or before. */
  private find(offset: number): number {
    let low = 0
    let high = this.blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.blocks[middle] as Block).offset <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** A copy in memory of its own: later reads do not change it, and it shares no pool with others. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** All of an in-memory output, in a buffer that may be transferred. */
export async function wholeOutput(output: Output): Promise<Uint8Array> {
  const whole = new Uint8Array(output.length)
  for (let offset = 0; offset < whole.length; ) {
    const part = await output.read(offset)
    if (part instanceof Lost) throw new Error('output in memory cannot be lost')
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
