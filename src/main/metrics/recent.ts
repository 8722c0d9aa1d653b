import type { Load } from '../../host/agent-state.js'
import type { Histogram } from '../../threads/histogram.js'
import { OUTCOMES } from '../../threads/messages.js'
import type { Counts } from './counts.js'

/** A moment of the last quarter of an hour every so often. */
export const EVERY_MS = 5_000
const MOMENTS_MAX = 180

/** What an agent was like in EVERY_MS. Times are seconds; undefined where there was nothing to measure. */
export interface Moment {
  /** When it ended, epoch ms. */
  readonly at: number
  readonly endedPerSecond: number
  readonly failedPerSecond: number
  readonly running: number
  readonly waiting: number
  readonly durationP50: number | undefined
  readonly durationP99: number | undefined
  readonly startP50: number | undefined
  readonly startP99: number | undefined
  readonly waitP99: number | undefined
}

/** The last quarter of an hour, in some numbers. Main thread only. */
export class Recent {
  private readonly moments: Moment[] = []
  private readonly duration: Window
  private readonly start: Window
  private readonly wait: Window
  private ended = 0
  private failed = 0
  private last = performance.now()

  constructor(
    private readonly counts: Counts,
    private readonly load: () => Load | undefined,
  ) {
    const { duration, start, wait } = counts.executions
    this.duration = new Window(duration)
    this.start = new Window(start)
    this.wait = new Window(wait)
  }

  /** Oldest first. */
  list(): readonly Moment[] {
    return this.moments
  }

  /** Begins to look. Answers a function that ends that. */
  watch(): () => void {
    const timer = setInterval(() => this.look(), EVERY_MS).unref()
    return () => clearInterval(timer)
  }

  look(): void {
    const now = performance.now()
    const seconds = (now - this.last) / 1000
    const { ended, failed } = totals(this.counts)
    const [duration, start, wait] = [this.duration.next(), this.start.next(), this.wait.next()]
    const { active = 0, waiting = 0 } = this.load() ?? {}
    this.moments.push({
      at: Date.now(),
      endedPerSecond: (ended - this.ended) / seconds,
      failedPerSecond: (failed - this.failed) / seconds,
      running: active,
      waiting,
      durationP50: duration(0.5),
      durationP99: duration(0.99),
      startP50: start(0.5),
      startP99: start(0.99),
      waitP99: wait(0.99),
    })
    if (this.moments.length > MOMENTS_MAX) this.moments.shift()
    this.last = now
    this.ended = ended
    this.failed = failed
  }
}

/** `failed`: all that is neither a success nor asked for. */
function totals({ executions }: Counts): { ended: number; failed: number } {
  const sums = { ended: 0, failed: 0 }
  for (const { outcomes } of executions.byFunction.values()) {
    for (const [at, outcome] of OUTCOMES.entries()) {
      const count = outcomes[at] as number
      sums.ended += count
      if (outcome !== 'success' && outcome !== 'cancelled') sums.failed += count
    }
  }
  return sums
}

/** What a histogram counts from one look to the next. */
class Window {
  private before: Float64Array

  constructor(private readonly histogram: Histogram) {
    this.before = histogram.counts.slice()
  }

  /** Answers quantiles of what is new; undefined where nothing is. */
  next(): (quantile: number) => number | undefined {
    const { counts, bounds } = this.histogram
    const fresh = counts.map((count, at) => count - (this.before[at] as number))
    this.before = counts.slice()
    return (quantile) => quantileOf(fresh, bounds, quantile)
  }
}

/** As Prometheus estimates it: evenly spread within a bucket; the last bound for what is beyond it. */
export function quantileOf(counts: Float64Array, bounds: readonly number[], quantile: number): number | undefined {
  const all = counts.reduce((sum, count) => sum + count, 0)
  if (all === 0) return undefined
  let left = quantile * all
  for (const [at, bound] of bounds.entries()) {
    const count = counts[at] as number
    const below = bounds[at - 1] ?? 0
    if (left <= count) return below + (bound - below) * (count === 0 ? 1 : left / count)
    left -= count
  }
  return bounds.at(-1)
}
