import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../harness/redis.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { ExecutionCounts } from '../../src/main/metrics/execution-counts.js'
import type { Outcome } from '../../src/threads/messages.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { runLoad } from '../measure/load.js'
import { memoryOf } from '../measure/memory.js'
import { agentMs } from '../measure/processor-time.js'
import { numberedExecutions } from '../measure/requests.js'
import { median, spread } from '../measure/statistics.js'
import { reportPairs } from '../report/pairs.js'
import type { Report } from '../report/report.js'
import { targetsOf } from '../targets/own-targets.js'

const FUNCTION = 'bench-true'
const ROUNDS = 11
const ROUND_MS = 2_000
const IN_FLIGHT = 16
const SETTLE_MS = 5_000
const COUNTED = 500_000

/** One agent, and its figures in each round. */
interface Side {
  readonly server: Server
  readonly perSecond: number[]
  readonly cpuUs: number[]
  readonly p50: number[]
}

export const metrics: Bench = {
  name: 'metrics',
  about: 'what metrics cost: an agent that serves them beside one that does not, in turns',
  ofMachine: true,

  async run(report) {
    const port = await freePort()
    const on = { metrics: { listen: `127.0.0.1:${port}` } }
    await withServers(targetsOf([]), { store: 'embedded' }, ([without]) =>
      withServers(targetsOf([]), { store: 'embedded', config: on }, async ([counting]) => {
        const sides = [sideOf('without', without as Server), sideOf('with metrics', counting as Server)]
        await measureRest(report, sides, 'at rest, just started')
        for (const { server } of sides) await deploy(server)
        for (const side of sides) await measure(side, undefined)
        for (let round = 1; round <= ROUNDS; round++) {
          report.progress(`round ${round} of ${ROUNDS}`)
          // Who begins changes, so that neither always has the warmer machine.
          for (const side of round % 2 === 0 ? [...sides].reverse() : sides) await measure(side, side)
        }
        summarize(report, sides)
        await fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text())
        await measureRest(report, sides, 'at rest after that, scraped once')
      }),
    )
    countAlone(report)
  },
}

function sideOf(label: string, { target, calls }: Server): Side {
  return { server: { target: { ...target, label }, calls }, perSecond: [], cpuUs: [], p50: [] }
}

async function deploy({ calls }: Server): Promise<void> {
  const archive = buildZip([{ name: 'main', contents: readFileSync('/bin/true'), mode: PROGRAM }])
  const { success, message } = await calls.deploy(FUNCTION, archive, { name: FUNCTION, handler: 'main' })
  if (!success) throw new Error(message)
}

async function measure({ server: { target } }: Side, into: Side | undefined): Promise<void> {
  const pid = target.pid as number
  const call = numberedExecutions({ function_name: FUNCTION }, `bench-${randomUUID()}-`)
  const before = agentMs(pid)
  const pace = { kind: 'closed', inFlight: IN_FLIGHT, durationMs: ROUND_MS } as const
  const { calls, seconds, latencies } = await runLoad({ ...call, target, outputBytes: 0, pace }).result
  into?.cpuUs.push(((agentMs(pid) - before) * 1000) / calls)
  into?.perSecond.push(calls / seconds)
  into?.p50.push(latencies.getValueAtPercentile(50))
}

function summarize(report: Report, sides: readonly Side[]): void {
  const table = report.table(`sync executions of /bin/true, ${IN_FLIGHT} in flight: medians of ${ROUNDS} rounds`, [
    { title: 'agent', width: 20 },
    { title: 'per second' },
    { title: 'p50 ms', digits: 2 },
    { title: 'agent CPU each, µs', digits: 1 },
  ])
  for (const { server, perSecond, p50, cpuUs } of sides)
    table.row(server.target.label, median(perSecond), median(p50) / 1000, median(cpuUs))
  const figures = [
    { name: 'rate', values: sides.map(({ perSecond }) => perSecond) },
    { name: 'p50', values: sides.map(({ p50 }) => p50) },
    { name: 'agent CPU each', values: sides.map(({ cpuUs }) => cpuUs) },
  ]
  reportPairs(
    report,
    'metrics',
    sides.map(({ server }) => server.target.label),
    figures,
  )
}

async function measureRest(report: Report, sides: readonly Side[], when: string): Promise<void> {
  report.progress(when)
  await sleep(SETTLE_MS)
  const table = report.table(`${when}: MiB`, [
    { title: 'agent', width: 20 },
    ...['resident', 'own', 'proportional'].map((title) => ({ title, digits: 2 })),
  ])
  for (const { server } of sides) {
    const { resident, own, proportional } = memoryOf(server.target.pid as number)
    table.row(server.target.label, resident, own, proportional)
  }
}

/** What the main thread does more for one execution, without all else. */
function countAlone(report: Report): void {
  const record = { execution_id: 'x', agent_id: 'a', function_name: 'f', status: 'success', started_at: '' } as const
  const outcome: Outcome = { kind: 'success', record: { ...record, duration_ms: 3 }, output: new Uint8Array() }
  const rounds = Array.from({ length: 7 }, () => {
    const counts = new ExecutionCounts()
    const begun = performance.now()
    for (let i = 0; i < COUNTED; i++) {
      const watch = counts.begins('f')
      watch.hasSlot()
      watch.hasStarted()
      watch.hasEnded(outcome)
    }
    return ((performance.now() - begun) * 1000) / COUNTED
  })
  const table = report.table('counting one execution, alone: µs', [
    ...['median', 'min', 'max'].map((title) => ({ title, digits: 3 })),
  ])
  const { median: middle, min, max } = spread(rounds)
  table.row(middle, min, max)
}
