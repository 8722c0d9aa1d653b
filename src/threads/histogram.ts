/**
 * Counts values by bounds: the first bound that a value does not exceed takes it, and one place beyond the last takes
 * the rest. Constant memory; to observe allocates nothing.
 */
export class Histogram {
  /** One more than there are bounds. */
  readonly counts: Float64Array
  sum = 0

  /** `bounds`: ascending. */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1)
  }

  get count(): number {
    return this.counts.reduce((all, count) => all + count, 0)
  }

  observe(value: number): void {
    const { bounds } = this
    let at = 0
    while (at < bounds.length && value > (bounds[at] as number)) at++
    this.counts[at] = (this.counts[at] as number) + 1
    this.sum += value
  }

  /** Adds what another one with the same bounds has counted. */
  add({ counts, sum }: Counted): void {
    for (const [at, count] of counts.entries()) this.counts[at] = (this.counts[at] as number) + count
    this.sum += sum
  }

  /** What it has counted since it was last taken. */
  take(): Counted {
    const taken = { counts: this.counts.slice(), sum: this.sum }
    this.counts.fill(0)
    this.sum = 0
    return taken
  }
}

/** The counts of a histogram, as they cross threads. */
export interface Counted {
  readonly counts: Float64Array
  readonly sum: number
}
