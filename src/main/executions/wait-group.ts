/** Counts pending work, and tells when none is left. One thread only. */
export class WaitGroup {
  private count = 0
  private readonly waiting: (() => void)[] = []

  add(): void {
    this.count++
  }

  /** Call once for each `add`. */
  done(): void {
    this.count--
    if (this.count === 0) for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Resolves when no work is pending; at once if none is. */
  async wait(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }
}
