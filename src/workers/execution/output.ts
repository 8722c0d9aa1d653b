import { OutputCap } from './output-cap.js'

/** The most bytes gathered before they are handed on together. */
export const BLOCK_BYTES = 65_536

/** A sealed stretch of kept output, wherever it is now. */
export interface Block {
  readonly offset: number
  readonly length: number
  /** Its bytes, from memory, from disk or from the store; those before the first that is missing. */
  load(): Promise<Buffer> | Buffer
}

/** Output that is missing: so many bytes from the offset that was asked for. */
export class Lost {
  constructor(readonly bytes: number) {}
}

/** The stretch that still grows. Bytes once written stay where they are, so what was read of it stays right. */
interface OpenBlock {
  readonly offset: number
  buffer: Buffer
  used: number
}

/**
 * The output of one execution as far as it is kept, readable from any offset while it grows. Small writes are gathered
 * into blocks, so that memory and cost follow the bytes, not the number of writes. This one keeps all of it in memory;
 * LiveOutput also writes it to the store.
 */
export class Output {
  private readonly cap: OutputCap
  private readonly blocks: Block[] = []
  private open: OpenBlock | undefined
  private ended = false
  private waiting: (() => void)[] = []

  constructor(maxBytes: number) {
    this.cap = new OutputCap(maxBytes)
  }

  /** Bytes kept so far. */
  get length(): number {
    if (this.open) return this.open.offset + this.open.used
    const last = this.blocks.at(-1)
    return last ? last.offset + last.length : 0
  }

  /** Copies what it keeps. */
  push(chunk: Buffer): void {
    this.keep(this.cap.push(chunk))
  }

  /** No byte follows. */
  finish(): void {
    this.keep(this.cap.finish())
    this.seal()
    this.ended = true
    this.wake()
  }

  /** Resolves once there is a byte at the offset, or no byte will follow. */
  async reaches(offset: number): Promise<void> {
    while (this.length <= offset && !this.ended) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  /** Bytes from the offset on, as many as are at hand in one piece; empty only at or beyond the end. */
  async read(offset: number): Promise<Buffer | Lost> {
    const { open } = this
    if (offset >= this.length) return Buffer.alloc(0)
    if (open && offset >= open.offset) return open.buffer.subarray(offset - open.offset, open.used)
    const block = this.blocks[this.find(offset)] as Block
    const bytes = (await block.load()).subarray(offset - block.offset)
    return bytes.length > 0 ? bytes : new Lost(block.offset + block.length - offset)
  }

  /** Takes in a block that will not grow any more. */
  protected sealed(offset: number, bytes: Buffer): Block {
    return { offset, length: bytes.length, load: () => bytes }
  }

  /** Called when a block begins to fill. */
  protected opened(): void {}

  /** Closes the block that still grows, if there is one. */
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

  /** Index of the last block that begins at or before the offset. */
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

/** In memory of its own, which neither a later read changes nor a small piece shares with others. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** All of an output that only memory has, in memory of its own, which may be transferred. */
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
