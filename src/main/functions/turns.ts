/** Runs work of one name in order of arrival, one at a time; work of different names concurrently. */
export class Turns {
  private readonly last = new Map<string, Promise<unknown>>()

  /** Resolves or rejects as the work does. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const earlier = this.last.get(name) ?? Promise.resolve()
    const turn = earlier.then(work)
    const ended = turn.catch(() => undefined)
    this.last.set(name, ended)
    try {
      return await turn
    } finally {
      if (this.last.get(name) === ended) this.last.delete(name)
    }
  }
}
