import type { Histogram } from 'hdr-histogram-js'
import type { Server } from '../measure/control.js'
import { agentMs } from '../measure/processor-time.js'
import { histogram, median, spread } from '../measure/statistics.js'
import { reportPairs } from '../report/pairs.js'
import type { Report, Table } from '../report/report.js'
import { measureFloor } from './floor.js'

export const IN_FLIGHT = [1, 16, 64, 256]
const FLOOR_MS = 1000

/** Results with a number of executions in flight. */
export interface Throughput {
  readonly executions: number
  readonly seconds: number
  /** Latencies, microseconds. */
  readonly latencies: Histogram
  /** Processor time for each call, milliseconds. */
  readonly clientCpuMs: number
}

export interface Titles {
  readonly what: string
  /** What the latencies end with. */
  readonly until: string
}

/** One server with one number in flight; one value for each round. */
interface Series {
  readonly server: Server
  readonly inFlight: number
  readonly perSecond: number[]
  readonly ratios: number[]
  readonly p50: number[]
  readonly latencies: Histogram
  readonly agentCpuMs: number[]
  readonly clientCpuMs: number[]
}

/** Measures all servers in turns with each number in flight, against the floor of the same round. */
export async function measureRounds(
  report: Report,
  { what, until }: Titles,
  servers: readonly Server[],
  rounds: number,
  measure: (server: Server, inFlight: number) => Promise<Throughput>,
): Promise<void> {
  const series = servers.map((server) => IN_FLIGHT.map((inFlight) => emptySeries(server, inFlight)))
  const table = report.table(`${what}: per second, beside the floor of the same round`, [
    { title: 'round' },
    { title: 'server', width: 20 },
    { title: 'floor' },
    ...IN_FLIGHT.map((inFlight) => ({ title: `${inFlight} in flight` })),
  ])
  for (let round = 1; round <= rounds; round++) {
    const floor = await measureFloor(FLOOR_MS)
    for (const [i, inFlight] of IN_FLIGHT.entries()) {
      report.progress(`${what}: ${inFlight} in flight, round ${round} of ${rounds}`)
      for (const ofServer of series) await addRound(ofServer[i] as Series, floor, measure)
    }
    for (const ofServer of series) {
      const rates = ofServer.map(({ perSecond }) => perSecond.at(-1))
      table.row(round, ofServer[0]?.server.target.label, floor, ...rates)
    }
  }
  const summary = summaryTable(report, `${what}: medians, ratios to the floor, milliseconds to ${until}`)
  for (const each of series.flat()) summarize(summary, each)
  const labelled = series.flat().map((each) => ({ ...each, label: seriesLabel(each, servers.length) }))
  const bars = labelled.map(({ label, ratios }) => ({ label, ...spread(ratios) }))
  report.ratios(`${what}: per second`, bars, 'the floor')
  report.curve(
    `${what}: to ${until}, closed loop`,
    labelled.map(({ label, latencies }) => ({ label, histogram: latencies })),
  )
  const compared = IN_FLIGHT.flatMap((inFlight, i) => [
    { name: `rate, ${inFlight} in flight`, values: series.map((ofServer) => ofServer[i]?.perSecond ?? []) },
    { name: `p50, ${inFlight} in flight`, values: series.map((ofServer) => ofServer[i]?.p50 ?? []) },
  ])
  reportPairs(
    report,
    what,
    servers.map(({ target }) => target.label),
    compared,
  )
}

function seriesLabel({ server, inFlight }: Series, servers: number): string {
  const label = `${inFlight} in flight`
  return servers === 1 ? label : `${server.target.label}, ${label}`
}

function emptySeries(server: Server, inFlight: number): Series {
  const values = { perSecond: [], ratios: [], p50: [], agentCpuMs: [], clientCpuMs: [] }
  return { server, inFlight, latencies: histogram(), ...values }
}

async function addRound(
  series: Series,
  floor: number,
  measure: (server: Server, inFlight: number) => Promise<Throughput>,
): Promise<void> {
  const { server, inFlight } = series
  const { pid } = server.target
  const before = pid === undefined ? 0 : agentMs(pid)
  const { executions, seconds, latencies, clientCpuMs } = await measure(server, inFlight)
  if (pid !== undefined) series.agentCpuMs.push((agentMs(pid) - before) / executions)
  series.perSecond.push(executions / seconds)
  series.ratios.push(executions / seconds / floor)
  series.p50.push(latencies.getValueAtPercentile(50))
  series.latencies.add(latencies)
  series.clientCpuMs.push(clientCpuMs)
}

function summaryTable(report: Report, title: string): Table {
  return report.table(title, [
    { title: 'server', width: 20 },
    { title: 'in flight' },
    { title: 'per second' },
    ...['ratio', 'min', 'max'].map((title) => ({ title, digits: 3 })),
    ...['p50', 'p99', 'p99.9', 'agent CPU each'].map((title) => ({ title, digits: 2 })),
    { title: 'client CPU each', digits: 3 },
  ])
}

function summarize(table: Table, { server, inFlight, perSecond, ratios, latencies, ...cpu }: Series): void {
  const ratio = spread(ratios)
  const at = (percentile: number) => latencies.getValueAtPercentile(percentile) / 1000
  table.row(
    server.target.label,
    inFlight,
    median(perSecond),
    ...[ratio.median, ratio.min, ratio.max],
    ...[at(50), at(99), at(99.9)],
    cpu.agentCpuMs.length === 0 ? undefined : median(cpu.agentCpuMs),
    median(cpu.clientCpuMs),
  )
}
