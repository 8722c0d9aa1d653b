import type { ExecutionRecord } from '../record.js'

/** Gathers the records that begin in one turn of the event loop: a pipeline for each would cost several times as much. */
export class Begins {
  #waiting: ExecutionRecord[] = []
  #answers: Promise<readonly boolean[]> | undefined

  /** `send` answers for each record whether it has begun. */
  constructor(private readonly send: (records: readonly ExecutionRecord[]) => Promise<readonly boolean[]>) {}

  /** Resolves with the answer for this record; rejects as `send` does. */
  async add(record: ExecutionRecord): Promise<boolean> {
    const index = this.#waiting.push(record) - 1
    this.#answers ??= new Promise((resolve) => {
      setImmediate(() => {
        const records = this.#waiting
        this.#waiting = []
        this.#answers = undefined
        resolve(this.send(records))
      })
    })
    return (await this.#answers)[index] === true
  }
}
