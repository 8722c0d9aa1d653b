/** Closes what a start has opened, at the stop or when the start fails halfway. Main thread only. */
export class Closers {
  private readonly stack: (() => unknown)[] = []

  /** `close` may return a promise. */
  add(close: () => unknown): void {
    this.stack.push(close)
  }

  /** Closes in reverse order, one after the other. Closes everything, then rejects with the first failure. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.stack.pop(); close; close = this.stack.pop()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
