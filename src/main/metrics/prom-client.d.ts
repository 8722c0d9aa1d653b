/** The part that formats. The rest of prom-client takes 2 MB of memory, and is not needed where numbers are counted here. */
declare module 'prom-client/lib/registry.js' {
  export default class Registry {
    readonly contentType: string
    /** The lines of a metric: HELP, TYPE, and a line for each value. */
    getMetricsAsString(metric: { get(): Promise<MetricLines> }): Promise<string>
  }

  export interface MetricLines {
    readonly name: string
    readonly help: string
    readonly type: string
    readonly values: readonly MetricLine[]
  }

  export interface MetricLine {
    /** Their text is remembered for each object: give the same one to all lines that share them. */
    readonly sharedLabels: Readonly<Record<string, string>>
    readonly labels: Readonly<Record<string, string>>
    readonly value: number
    readonly metricName: string
  }
}
