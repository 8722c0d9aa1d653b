import { type Store, StoreUnavailable, type StoreWrite } from '../../../src/store/store.js'

/**
 * How a batch fares: stored; rejected before it was; stored and rejected nonetheless, as where the answer is lost; or
 * stored once `answer` is called.
 */
export type Mode = 'up' | 'down' | 'lossy' | 'slow'

/** A store that can be told to be away. */
export class SwitchedStore {
  mode: Mode = 'up'
  /** How many writes each batch had that was sent. */
  readonly batches: number[] = []
  readonly #store: Pick<Store, 'write'>
  #waiting: (() => void)[] = []

  constructor(store: Pick<Store, 'write'>) {
    this.#store = store
  }

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    this.batches.push(batch.length)
    if (this.mode === 'slow') await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const taken = this.mode === 'down' ? new Set<string>() : await this.#store.write(batch)
    if (this.mode === 'down' || this.mode === 'lossy') throw new StoreUnavailable('switched off')
    return taken
  }

  /** The store is up, and answers what waits. */
  answer(): void {
    this.mode = 'up'
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
