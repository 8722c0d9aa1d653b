import type { StoreWrite } from '../store.js'

type End = Extract<StoreWrite, { kind: 'end' }>

interface Kept {
  readonly end: End
  /** The primary that has acknowledged it. */
  readonly primary: string
  readonly at: number
}

/** Longer than a failover takes with what Redis' documentation recommends. */
const KEPT_MS = 20_000
const MOST_KEPT = 1_000

/**
 * The ends that were stored last. A primary acknowledges them before its replicas have them: where it dies then, a record
 * would stay `running` until it expires. So they are written again to the one that has taken over.
 */
export class RecentEnds {
  #kept: Kept[] = []

  add(ends: readonly End[], primaryOf: (id: string) => string): void {
    const at = performance.now()
    for (const end of ends) this.#kept.push({ end, primary: primaryOf(end.record.execution_id), at })
    // Not for each one: that would copy them all.
    if (this.#kept.length >= 2 * MOST_KEPT) this.#kept = this.#kept.slice(-MOST_KEPT)
  }

  /** Those whose records have another primary now. */
  moved(primaryOf: (id: string) => string): End[] {
    const since = performance.now() - KEPT_MS
    this.#kept = this.#kept.filter(({ at }) => at > since)
    return this.#kept.flatMap(({ end, primary }) => (primaryOf(end.record.execution_id) === primary ? [] : [end]))
  }

  /** These need not be written again. */
  drop(ends: readonly End[]): void {
    const dropped = new Set(ends)
    this.#kept = this.#kept.filter(({ end }) => !dropped.has(end))
  }
}
