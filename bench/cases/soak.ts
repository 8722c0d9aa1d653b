import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Histogram } from 'hdr-histogram-js'
import { processesWith } from '../../harness/proc.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { healthMeanwhile } from '../measure/health.js'
import type { Report, Table } from '../report/report.js'
import { footprintOf } from './footprint.js'
import { MixedWork } from './mixed-work.js'

const LANES = 16
const WARM_UP_MS = 5_000
/** How long a server rests after the work before it is measured. */
const SETTLE_MS = 5_000
const REST_MS = 5_000
const LONGEST_ROW_MS = 60_000
const FEWEST_ROWS = 3
/** Set in the environment of everything executed. */
const VARIABLE = 'BENCH_SOAK'

export const soak: Bench = {
  name: 'soak',
  about: 'mixed work for --soak-minutes: memory, descriptors and health checks before, during and after it',

  run: (report, targets, { soakMinutes }) =>
    withServers(targets, { store: 'embedded' }, async (servers) => {
      for (const server of servers) await soakOne(report, server, soakMinutes * 60_000)
    }),
}

async function soakOne(report: Report, server: Server, durationMs: number): Promise<void> {
  const { label } = server.target
  const mark = randomUUID()
  const work = await MixedWork.deploy(server.calls, { [VARIABLE]: mark })
  report.progress(`${label}: warming up`)
  await work.run(LANES, WARM_UP_MS)

  const table = timeTable(report, label)
  const watch = (when: string, ms: number) => addRow(table, server, work, when, ms)
  await sleep(SETTLE_MS)
  const before = await watch('at rest', REST_MS)
  const rows = Math.max(FEWEST_ROWS, Math.ceil(durationMs / LONGEST_ROW_MS))
  const timeline = async () => {
    for (let row = 1; row <= rows; row++) {
      report.progress(`${label}: mixed work, part ${row} of ${rows}`)
      await watch(`at ${Math.round((durationMs / 1000 / rows) * row)} s`, durationMs / rows)
    }
  }
  await Promise.all([work.run(LANES, durationMs), timeline()])
  await sleep(SETTLE_MS)
  const after = await watch('at rest', REST_MS)

  const left = processesWith(VARIABLE, mark).map(({ pid, command }) => `${pid} ${command}`)
  if (left.length > 0) throw new Error(`${label} has left processes of ended executions: ${left.join(', ')}`)
  report.curve(`${label}: health checks at rest`, [
    { label: 'before the work', histogram: before },
    { label: 'after it', histogram: after },
  ])
}

function timeTable(report: Report, label: string): Table {
  return report.table(`${label}, ${LANES} in flight: MiB, milliseconds`, [
    { title: 'when', width: 10 },
    { title: 'work a second', digits: 1 },
    ...['own', 'proportional'].map((title) => ({ title, digits: 1 })),
    { title: 'descriptors' },
    { title: 'threads' },
    ...['p50', 'p99', 'max'].map((title) => ({ title: `health ${title}`, digits: 2 })),
  ])
}

/** Runs for a time; answers the latencies of health checks in it. */
async function addRow(table: Table, { target }: Server, work: MixedWork, when: string, ms: number): Promise<Histogram> {
  const { begun } = work
  const from = performance.now()
  const { health } = await healthMeanwhile(target, () => sleep(ms))
  const perSecond = ((work.begun - begun) / (performance.now() - from)) * 1000
  const held = target.pid === undefined ? undefined : footprintOf(target.pid)
  const at = (percentile: number) => health.getValueAtPercentile(percentile) / 1000
  table.row(
    when,
    perSecond,
    ...[held?.own, held?.proportional, held?.descriptors, held?.threads],
    ...[at(50), at(99), health.maxValue / 1000],
  )
  return health
}
