/** Counts what is under way, and tells when nothing is. One thread only. */
export class WaitGroup {
  private count = 0
  private readonly waiting: (() => void)[] = []

  add(): void {
    this.count++
  }

  /** One of those that were added is over. */
  done(): void {
    this.count--
    if (this.count === 0) for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Resolves when none is left; at once where none is. */
  async wait(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }
}
