/** Has work that bears the same name done in the order in which it comes, one after the other, and all other work at once. */
export class Turns {
  private readonly last = new Map<string, Promise<unknown>>()

  /** What the work comes to. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const earlier = this.last.get(name) ?? Promise.resolve()
    const turn = earlier.then(work)
    const over = turn.catch(() => undefined)
    this.last.set(name, over)
    try {
      return await turn
    } finally {
      if (this.last.get(name) === over) this.last.delete(name)
    }
  }
}
