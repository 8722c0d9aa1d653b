/** Bytes retained from the end of an output that exceeds its cap. */
export const TAIL_BYTES = 65_536

/** Replaces the bytes that were left out, on a line of its own. */
export function leftOutMark(bytes: number): Buffer {
  return Buffer.from(`\n[flux-agent: ${bytes} bytes of output left out]\n`)
}

/**
 * Decides which bytes of an output are kept. Up to `max` + TAIL_BYTES it is kept whole. Of a longer one the first `max`
 * bytes are kept, then a line that counts what was left out, then the last TAIL_BYTES. Constant cost for each byte; at
 * most TAIL_BYTES of memory.
 */
export class OutputCap {
  /** Bytes retained from the start of the output. */
  head: number
  private beyond: number
  private ring: Buffer | undefined

  /** `from`: what an earlier agent has seen of the output, of which the first `max` bytes are retained already. */
  constructor(
    private readonly max: number,
    from = 0,
  ) {
    this.head = Math.min(from, max)
    this.beyond = from - this.head
  }

  /** How many bytes from the start of the output need not be seen again once those retained are safe. */
  get past(): number {
    return this.head + Math.max(0, this.beyond - TAIL_BYTES)
  }

  /** Adds bytes; answers those of them that are retained as they are, possibly none. */
  push(chunk: Buffer): Buffer {
    const retained = chunk.subarray(0, this.max - this.head)
    this.head += retained.length
    if (retained.length < chunk.length) this.remember(chunk.subarray(retained.length))
    return retained
  }

  /**
   * Call once no bytes follow: answers what comes after the retained ones, the mark (where bytes were left out) and the
   * tail.
   */
  finish(): Buffer {
    const { ring } = this
    if (!ring) return Buffer.alloc(0)
    if (this.beyond <= TAIL_BYTES) return ring.subarray(0, this.beyond)
    const oldest = this.beyond % TAIL_BYTES
    return Buffer.concat([leftOutMark(this.beyond - TAIL_BYTES), ring.subarray(oldest), ring.subarray(0, oldest)])
  }

  private remember(bytes: Buffer): void {
    this.ring ??= Buffer.allocUnsafeSlow(TAIL_BYTES)
    const last = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES))
    const at = (this.beyond + bytes.length - last.length) % TAIL_BYTES
    const beforeWrap = last.copy(this.ring, at)
    last.copy(this.ring, 0, beforeWrap)
    this.beyond += bytes.length
  }
}
