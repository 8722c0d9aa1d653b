/** How long to wait before each further attempt: twice as long each time, up to a longest. */
export class Backoff {
  #next: number

  constructor(
    private readonly firstMs: number,
    private readonly longestMs: number,
  ) {
    this.#next = firstMs
  }

  /** For an attempt that has failed: how long to wait now, ms. */
  failed(): number {
    const now = this.#next
    this.#next = Math.min(2 * now, this.longestMs)
    return now
  }

  /** An attempt has succeeded. */
  succeeded(): void {
    this.#next = this.firstMs
  }
}
