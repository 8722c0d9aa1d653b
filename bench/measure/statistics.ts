import { build, type Histogram } from 'hdr-histogram-js'

/** The median of at least one value; of an even number, the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2
}

/** A histogram for latencies in microseconds, up to a minute. */
export function histogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 })
}

/** The union of histograms. */
export function merged(histograms: readonly Histogram[]): Histogram {
  const all = histogram()
  for (const each of histograms) all.add(each)
  return all
}

/** Histograms take whole numbers from 1. */
export function microseconds(milliseconds: number): number {
  return Math.max(1, Math.round(milliseconds * 1000))
}

/** The median, lowest and highest of at least one value, for a chart of ratios. */
export function spread(values: readonly number[]): { median: number; min: number; max: number } {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}
