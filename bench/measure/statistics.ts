import { build, type Histogram } from 'hdr-histogram-js'

/** Of at least one value; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2
}

/** For latencies in microseconds, of up to a minute. */
export function histogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 })
}

/** All values of all of them. */
export function merged(histograms: readonly Histogram[]): Histogram {
  const all = histogram()
  for (const each of histograms) all.add(each)
  return all
}

/** As a histogram takes them: whole, and at least one. */
export function microseconds(milliseconds: number): number {
  return Math.max(1, Math.round(milliseconds * 1000))
}

/** As a chart of ratios wants it: the median, the lowest and the highest of at least one value. */
export function spread(values: readonly number[]): { median: number; min: number; max: number } {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}
