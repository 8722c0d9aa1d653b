import { NumberSet } from './number-set.js'

/** The least time for which an id is remembered. */
export const KNOWN_MS = 3_600_000
const GENERATION_MS = KNOWN_MS / 2
/** Three generations of 2 million ids take 90 MB and hold an hour at 1,100 ids a second. */
const GENERATION_IDS = 2_000_000

/**
 * Remembers the ids of the last hour, by their numbers. Where ids come faster than there is room for, the oldest are
 * forgotten early. Used on one thread.
 */
export class RecentIds {
  /** The newest first. The third holds what is left of the hour before the second began. */
  #generations: readonly [NumberSet, NumberSet, NumberSet] = [new NumberSet(), new NumberSet(), new NumberSet()]
  #begun: number

  /** `now` is a monotonic clock in milliseconds. */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly generationIds = GENERATION_IDS,
  ) {
    this.#begun = now()
  }

  has(number: number): boolean {
    this.#turn()
    const [newest, middle, oldest] = this.#generations
    return newest.has(number) || middle.has(number) || oldest.has(number)
  }

  add(number: number): void {
    this.#turn()
    this.#generations[0].add(number)
  }

  /** Adds an id of an earlier run, given `ageMs` ago. */
  addOld(number: number, ageMs: number): void {
    if (ageMs < GENERATION_MS) this.#generations[1].add(number)
    else if (ageMs < KNOWN_MS) this.#generations[2].add(number)
  }

  /**
   * Starts new generations as they are due. An id is forgotten after three turns, so at least two generations after it
   * was given.
   */
  #turn(): void {
    const now = this.now()
    const due = Math.floor((now - this.#begun) / GENERATION_MS)
    const turns = this.#generations[0].size >= this.generationIds ? Math.max(1, due) : due
    if (turns === 0) return
    for (let turn = 0; turn < Math.min(turns, 3); turn++) {
      const [newest, middle] = this.#generations
      this.#generations = [new NumberSet(), newest, middle]
    }
    this.#begun = now
  }
}
