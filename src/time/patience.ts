const SLICE_MS = 50

/**
 * Waits so long for somebody else, and no longer. A timer alone takes its own absence for the other's silence: after a
 * pause of this process (SIGSTOP, a machine that sleeps) or of its event loop, timers come first and only then what has
 * arrived meanwhile. So what counts here is time in slices, in each of which the loop has turned on time, and the last
 * look at what there is to read comes after the last slice. Slices that were late count only once there have been as
 * many as the limit has, so that a loop that always lags ends its wait, too. On the thread that made it.
 */
export class Patience {
  #left = 0
  #pardons = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined
  #lastLook: NodeJS.Immediate | undefined

  /**
   * `exhausted` is called once, unless `end` is called before. `moved` tells whether anything has come since it was last
   * asked, with which the whole limit begins again.
   */
  constructor(
    private readonly limitMs: number,
    private readonly exhausted: () => void,
    private readonly moved: () => boolean = () => false,
  ) {
    this.#begin()
  }

  /** What was waited for has come, or nobody waits any more. */
  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    clearImmediate(this.#lastLook)
  }

  #begin(): void {
    this.#left = this.limitMs
    this.#pardons = Math.ceil(this.limitMs / SLICE_MS)
    this.#wait()
  }

  #wait(): void {
    const slice = Math.min(SLICE_MS, this.#left)
    const begun = performance.now()
    this.#timer = setTimeout(() => {
      const late = performance.now() - begun > slice + SLICE_MS
      if (!late || this.#pardons-- <= 0) this.#left -= slice
      if (this.#left > 0) this.#look()
      // What has arrived is read between timers and immediates (nodejs.org, "The Node.js Event Loop").
      else this.#lastLook = setImmediate(() => this.#look())
    }, slice)
  }

  #look(): void {
    const moved = this.moved()
    // Whoever was asked may have ended it.
    if (this.#ended) return
    if (moved) this.#begin()
    else if (this.#left > 0) this.#wait()
    else this.exhausted()
  }
}

/** The answer, or a rejection with what `silent` makes once it has not come in time, as Patience counts that. */
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
