/** Node keeps the milliseconds of a timer in 32 bits, and fires one at once that is longer (nodejs.org, "Timers"). */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * A timer of any length. What has arrived by then is heard first: after a pause of this process, timers would come
 * before it. On the thread that made it.
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
