import type { Histogram } from 'hdr-histogram-js'
import type { Distribution } from './results.js'

const POINTS_PER_HALVING = 5

/**
 * The distribution of a histogram in microseconds. Shares above successive points form a geometric series, so that the
 * tail has as many points as the middle; the last but one leaves at least one sample above it.
 */
export function distribution(label: string, histogram: Histogram): Distribution {
  const samples = histogram.totalCount
  if (samples === 0) throw new Error(`${label}: nothing was recorded that a curve could be drawn from`)
  const point = (percentile: number) => ({ percentile, ms: histogram.getValueAtPercentile(percentile) / 1000 })
  const points = []
  for (let i = 0, above = 1; above * samples >= 1; i++, above = 2 ** (-i / POINTS_PER_HALVING)) {
    points.push(point(100 * (1 - above)))
  }
  return { label, samples, points: [...points, point(100)] }
}
