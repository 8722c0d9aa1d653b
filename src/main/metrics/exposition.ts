import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Metric as PromMetric } from 'prom-client'
import Registry from 'prom-client/lib/registry.js'
import { Histogram } from '../../threads/histogram.js'
import type { Metric, Sample } from './metric.js'
import type { Sources } from './sources.js'
import { METRICS } from './table.js'

/** The metrics as Prometheus reads them. Main thread only. */
export class Exposition {
  readonly contentType: string
  private readonly registry = new Registry()
  private running: Promise<string> | undefined

  constructor(sources: Sources) {
    this.contentType = this.registry.contentType
    for (const metric of METRICS) this.registry.registerMetric(collected(metric, sources))
  }

  /** All of them. One metric a turn of the event loop: with 200 functions all together would hold it up. */
  text(): Promise<string> {
    this.running ??= this.format().finally(() => {
      this.running = undefined
    })
    return this.running
  }

  private async format(): Promise<string> {
    const parts: string[] = []
    for (const { name } of METRICS) {
      parts.push(await this.registry.getSingleMetricAsString(name))
      await nextTurn()
    }
    return `${parts.join('\n')}\n`
  }
}

/** As the registry takes a metric of prom-client's own: it asks for a name and `get`. */
function collected({ name, type, help, read }: Metric, sources: Sources): PromMetric {
  const get = async () => ({ name, help, type, values: (await read(sources)).flatMap((one) => valuesOf(name, one)) })
  return { name, get } as unknown as PromMetric
}

function valuesOf(name: string, { labels = {}, value }: Sample) {
  if (!(value instanceof Histogram)) return [{ labels, value }]
  let count = 0
  const buckets = Array.from(value.counts, (inBucket, at) => {
    count += inBucket
    return { labels: { ...labels, le: `${value.bounds[at] ?? '+Inf'}` }, value: count, metricName: `${name}_bucket` }
  })
  return [
    ...buckets,
    { labels, value: value.sum, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ]
}
