import { spread } from '../measure/statistics.js'
import type { Report } from './report.js'

/** One figure of each server, as it was in each round. */
export interface Compared {
  readonly name: string
  /** By server, and then by round. */
  readonly values: readonly (readonly number[])[]
}

/** Each other server's figure divided by the first server's, in the same round; nothing for one server. */
export function reportPairs(report: Report, what: string, labels: readonly string[], all: readonly Compared[]): void {
  const [first, ...others] = labels
  if (others.length === 0) return
  const table = report.table(`${what}: ratio to ${first} in the same round`, [
    { title: 'server', width: 20 },
    { title: 'figure', width: Math.max(...all.map(({ name }) => name.length)) },
    ...['median', 'min', 'max'].map((title) => ({ title, digits: 3 })),
  ])
  others.forEach((label, i) => {
    for (const { name, values } of all) {
      const ratios = (values[i + 1] ?? []).map((value, round) => value / (values[0]?.[round] as number))
      const { median, min, max } = spread(ratios)
      table.row(label, name, median, min, max)
    }
  })
}
