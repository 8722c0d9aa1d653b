const SLICE_MS = 50
/** The most that one slice counts for. */
const LONGEST_SLICE_MS = 200

/**
 * A time limit for an answer from elsewhere, which does not count this process's own pauses. After a pause (SIGSTOP, a
 * sleeping machine, a blocked event loop) Node runs timers before it reads what arrived meanwhile, so a plain timer
 * would take its own absence for the other side's silence. The limit is therefore counted in slices: only slices in
 * which the event loop ran on time count, and after the last one the loop reads once more. Late slices, each for 200 ms
 * at most, count as well once they have come to the limit: a loop that always lags by less takes about twice its time.
 * Used on the thread that made it.
 */
export class Patience {
  #left = 0
  /** Of late slices that do not count, ms. */
  #pardon = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined
  #lastLook: NodeJS.Immediate | undefined

  /**
   * `exhausted` is called once, unless `end` is called before. `moved` answers whether anything has arrived since it
   * was last called; if so, the whole limit begins again.
   */
  constructor(
    private readonly limitMs: number,
    private readonly exhausted: () => void,
    private readonly moved: () => boolean = () => false,
  ) {
    this.#begin()
  }

  /** Ends the wait: the answer is there, or is no longer wanted. */
  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    clearImmediate(this.#lastLook)
  }

  #begin(): void {
    this.#left = this.limitMs
    this.#pardon = this.limitMs
    this.#wait()
  }

  #wait(): void {
    const slice = Math.min(SLICE_MS, this.#left)
    const begun = performance.now()
    this.#timer = setTimeout(() => {
      const took = performance.now() - begun
      const counted = Math.min(took, LONGEST_SLICE_MS)
      if (took > slice + SLICE_MS && this.#pardon > 0) this.#pardon -= counted
      else this.#left -= counted
      if (this.#left > 0) this.#look()
      // Node reads what has arrived between timers and immediates (nodejs.org, "The Node.js Event Loop").
      else this.#lastLook = setImmediate(() => this.#look())
    }, slice)
  }

  #look(): void {
    const moved = this.moved()
    // `moved` may have called `end`.
    if (this.#ended) return
    if (moved) this.#begin()
    else if (this.#left > 0) this.#wait()
    else this.exhausted()
  }
}

/** The answer; rejects with the error of `silent` where it has not come within the limit, as Patience counts it. */
export async function withinPatience<T>(answer: Promise<T>, limitMs: number, silent: () => Error): Promise<T> {
  let patience: Patience | undefined
  const limit = new Promise<never>((_, reject) => {
    patience = new Patience(limitMs, () => reject(silent()))
  })
  try {
    return await Promise.race([answer, limit])
  } finally {
    patience?.end()
  }
}
