/** How much of the end is kept of an output that is longer than its cap. */
export const TAIL_BYTES = 65_536

/** The line that stands for what was left out, on a line of its own. */
export function leftOutMark(bytes: number): Buffer {
  return Buffer.from(`\n[flux-agent: ${bytes} bytes of output left out]\n`)
}

/**
 * Decides which bytes of an output are kept: all up to the cap; beyond it the first `max` bytes, a mark telling how
 * many were left out, and the last TAIL_BYTES. Cost per byte is constant, memory at most TAIL_BYTES.
 */
export class OutputCap {
  private head = 0
  private beyond = 0
  private ring: Buffer | undefined

  constructor(private readonly max: number) {}

  /** Takes the next bytes; answers the part of them that is kept as it is, possibly empty. */
  push(chunk: Buffer): Buffer {
    const kept = chunk.subarray(0, this.max - this.head)
    this.head += kept.length
    if (kept.length < chunk.length) this.remember(chunk.subarray(kept.length))
    return kept
  }

  /** What follows the kept bytes once no more will come: the mark, where bytes were left out, and the tail. */
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
