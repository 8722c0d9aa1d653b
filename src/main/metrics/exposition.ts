import { setImmediate as nextTurn } from 'node:timers/promises'
import Registry, { type MetricLine } from 'prom-client/lib/registry.js'
import { Histogram } from '../../threads/histogram.js'
import type { Metric, Sample } from './metric.js'
import type { Sources } from './sources.js'
import { METRICS } from './table.js'

/** Lines that are formatted in one turn of the event loop, in some tenths of a millisecond. */
const LINES_A_TURN = 250
/** HELP and TYPE, before the values. */
const HEADER_LINES = 2

/** The metrics as Prometheus reads them. Main thread only. */
export class Exposition {
  private readonly registry = new Registry()
  private running: Promise<string> | undefined

  constructor(private readonly sources: Sources) {}

  get contentType(): string {
    return this.registry.contentType
  }

  /** All of them, formatted over several turns: with 200 functions all at once would hold up the event loop. */
  text(): Promise<string> {
    this.running ??= this.format().finally(() => {
      this.running = undefined
    })
    return this.running
  }

  private async format(): Promise<string> {
    const parts: string[] = []
    for (const metric of METRICS) {
      const values = (await metric.read(this.sources)).flatMap((sample) => valuesOf(metric.name, sample))
      let at = 0
      do {
        const lines = (await this.lines(metric, values.slice(at, at + LINES_A_TURN))).split('\n')
        parts.push(...(at === 0 ? lines : lines.slice(HEADER_LINES)))
        at += LINES_A_TURN
        await nextTurn()
      } while (at < values.length)
    }
    return `${parts.join('\n')}\n`
  }

  /** prom-client formats whatever has a `get` as its own metrics have. */
  private lines({ name, type, help }: Metric, values: readonly MetricLine[]): Promise<string> {
    return this.registry.getMetricsAsString({ get: async () => ({ name, help, type, values }) })
  }
}

function valuesOf(name: string, { labels: sharedLabels = {}, value }: Sample): MetricLine[] {
  if (!(value instanceof Histogram)) return [{ sharedLabels, labels: {}, value, metricName: name }]
  let count = 0
  const buckets = Array.from(value.counts, (inBucket, at): MetricLine => {
    count += inBucket
    return { sharedLabels, labels: { le: `${value.bounds[at] ?? '+Inf'}` }, value: count, metricName: `${name}_bucket` }
  })
  return [
    ...buckets,
    { sharedLabels, labels: {}, value: value.sum, metricName: `${name}_sum` },
    { sharedLabels, labels: {}, value: count, metricName: `${name}_count` },
  ]
}
