/** Why a start does not go on: what it has opened is being closed. */
export class StartStopped extends Error {
  override readonly name = 'StartStopped'

  constructor() {
    super('stopped before it served')
  }
}

/** Closes what a start has opened, at the stop or when the start ends halfway. Main thread only. */
export class Closers {
  private readonly stack: (() => unknown)[] = []
  private closing: Promise<void> | undefined

  /**
   * `close` may return a promise. Throws StartStopped where the others are being closed already: the next call of `close`
   * calls this one, too.
   */
  add(close: () => unknown): void {
    this.stack.push(close)
    this.refuseIfClosing()
  }

  /** Throws StartStopped where they are being closed already. */
  refuseIfClosing(): void {
    if (this.closing) throw new StartStopped()
  }

  /** Closes in reverse order, one after the other. Closes everything, then rejects with the first failure. */
  close(): Promise<void> {
    const before = this.closing?.catch(() => {})
    this.closing = before ? before.then(() => this.closeAll()) : this.closeAll()
    return this.closing
  }

  private async closeAll(): Promise<void> {
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
