import type { Histogram } from '../../threads/histogram.js'
import type { Sources } from './sources.js'

/** One value of a metric. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number | Histogram
}

type Read = (sources: Sources) => readonly Sample[] | Promise<readonly Sample[]>

/** A metric as Prometheus knows it, and how it is read. */
export interface Metric {
  readonly name: `flux_agent_${string}`
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** One sentence, for the table in docs/metrics.md as well. */
  readonly help: string
  /** Labels, and what each of them says. */
  readonly labels: Readonly<Record<string, string>>
  /** Nothing where it is not known. */
  readonly read: Read
}

/** What a metric may be read as: one value, or several with labels; undefined: not known. */
type Value = number | Histogram | undefined

export interface One {
  readonly type: Metric['type']
  readonly help: string
  readonly one: (sources: Sources) => Value | Promise<Value>
}

export interface Many {
  readonly type: Metric['type']
  readonly help: string
  readonly labels: Metric['labels']
  readonly many: Read
}

/** Metrics by their names without `flux_agent_`. */
export function metricsOf(named: Readonly<Record<string, One | Many>>): readonly Metric[] {
  return Object.entries(named).map(([name, metric]) => ({
    name: `flux_agent_${name}` as const,
    type: metric.type,
    help: metric.help,
    labels: 'many' in metric ? metric.labels : {},
    read: 'many' in metric ? metric.many : async (sources) => samples(await metric.one(sources)),
  }))
}

function samples(value: Value): readonly Sample[] {
  return value === undefined ? [] : [{ value }]
}
