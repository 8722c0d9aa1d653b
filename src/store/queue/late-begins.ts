import { idOf, type StoreWrite } from '../store.js'

/**
 * Drops writes of executions whose id another execution had in the store first, so that no record or output mixes two
 * executions. For one sequence of batches.
 */
export class LateBegins {
  readonly #ids = new Set<string>()

  /** The writes of the next batch that may be sent. */
  allowed(batch: readonly StoreWrite[]): readonly StoreWrite[] {
    if (this.#ids.size === 0) return batch
    return batch.filter((write) => write.kind === 'begin' || !this.#ids.has(idOf(write)))
  }

  /** Notes the store's answer to that batch. Once an execution has ended, its id may be used again. */
  note(batch: readonly StoreWrite[], taken: ReadonlySet<string>): void {
    if (this.#ids.size === 0 && taken.size === 0) return
    for (const write of batch) {
      const id = idOf(write)
      if (write.kind === 'begin' && taken.has(id)) this.#ids.add(id)
      else if (write.kind !== 'output') this.#ids.delete(id)
    }
  }
}
