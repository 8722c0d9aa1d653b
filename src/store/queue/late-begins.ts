import { idOf, type StoreWrite } from '../store.js'

/**
 * Keeps away from the store what belongs to executions whose id another one had when they were recorded: each record
 * and output is of one execution alone. For one sequence of batches.
 */
export class LateBegins {
  readonly #ids = new Set<string>()

  /** The writes of the next batch that may be made. */
  allowed(batch: readonly StoreWrite[]): readonly StoreWrite[] {
    if (this.#ids.size === 0) return batch
    return batch.filter((write) => write.kind === 'begin' || !this.#ids.has(idOf(write)))
  }

  /** What the store answered to that batch. Once an execution has ended, its id may be given anew. */
  note(batch: readonly StoreWrite[], taken: ReadonlySet<string>): void {
    if (this.#ids.size === 0 && taken.size === 0) return
    for (const write of batch) {
      const id = idOf(write)
      if (write.kind === 'begin' && taken.has(id)) this.#ids.add(id)
      else if (write.kind !== 'output') this.#ids.delete(id)
    }
  }
}
