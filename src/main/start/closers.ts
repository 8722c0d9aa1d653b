/** What a start has opened, for its stop, or for a start that fails half way. Main thread only. */
export class Closers {
  private readonly stack: (() => unknown)[] = []

  /** `close` may answer a promise. */
  add(close: () => unknown): void {
    this.stack.push(close)
  }

  /** Closes the newest first, each once the one before it is closed. Rejects with the first failure, having closed all. */
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
