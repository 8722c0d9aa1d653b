import type { Database, RootDatabase } from 'lmdb'
import { RECORD_TTL_MS } from '../record.js'

/** When the records and outputs of ids expire. Writes are made inside a transaction of the caller's. */
export class Expiries {
  /** Epoch ms by id. What has expired counts as absent, whether it is purged or not. */
  readonly #byId: Database<number, string>
  /** The same by time, so that a purge looks only at what has expired. */
  readonly #byTime: Database<string, [at: number, id: string]>

  /** `now` is the clock, epoch ms. */
  constructor(
    root: RootDatabase,
    private readonly now: () => number,
  ) {
    this.#byId = root.openDB({ name: 'expiries', encoding: 'json' })
    this.#byTime = root.openDB({ name: 'by-expiry', encoding: 'string' })
  }

  isAlive(id: string): boolean {
    return (this.#byId.get(id) ?? 0) > this.now()
  }

  /** Has the id expire RECORD_TTL_MS from now. */
  renew(id: string): void {
    this.drop(id)
    const at = this.now() + RECORD_TTL_MS
    this.#byId.putSync(id, at)
    this.#byTime.putSync([at, id], '')
  }

  drop(id: string): void {
    const at = this.#byId.get(id)
    if (at !== undefined) this.#byTime.removeSync([at, id])
    this.#byId.removeSync(id)
  }

  /** The ids that have expired, the oldest first. */
  expired(limit: number): string[] {
    return [...this.#byTime.getKeys({ end: [this.now() + 1], limit })].map(([, id]) => id)
  }
}
