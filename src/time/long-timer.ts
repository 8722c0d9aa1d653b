/** Node keeps a timer's milliseconds in 32 bits and fires a longer one at once (nodejs.org, "Timers"). */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * A timer of any length. Before it acts, the event loop reads what has arrived: after a pause of this process, timers
 * alone would run first. Used on the thread that made it.
 */
export class LongTimer {
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined

  constructor(
    ms: number,
    private readonly act: () => void,
  ) {
    this.#wait(ms)
  }

  clear(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
  }

  #wait(ms: number): void {
    const now = Math.min(ms, LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => {
      if (ms > now) this.#wait(ms - now)
      else this.#turn = setImmediate(this.act)
    }, now)
  }
}
