import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTestAgent } from '../../harness/agent.js'
import { freePort } from '../../harness/free-port.js'
import { ExecutionObserver } from '../../src/main/executions/observer.js'
import { ExecutionCounts } from '../../src/main/metrics/execution-counts.js'
import type { Outcome } from '../../src/threads/messages.js'
import { monotonicMs } from '../../src/time/monotonic.js'
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
import { deployProgram, TRUE } from './throughput.js'

const FUNCTION = 'bench-true'
const ROUNDS = 21
const ROUND_MS = 1_500
const IN_FLIGHT = 16
const STARTS = 7
const SETTLE_MS = 3_000
const LABELS = ['without', 'with metrics'] as const
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
    const on = { metrics: { listen: `127.0.0.1:${await freePort()}` } }
    await measureRest(report, on)
    await withServers(targetsOf([]), { store: 'embedded' }, ([without]) =>
      withServers(targetsOf([]), { store: 'embedded', config: on }, async ([counting]) => {
        const sides = [sideOf(LABELS[0], without as Server), sideOf(LABELS[1], counting as Server)]
        for (const { server } of sides) await deployProgram(server, { ...TRUE, name: FUNCTION })
        for (const side of sides) await measure(side, undefined)
        for (let round = 1; round <= ROUNDS; round++) {
          report.progress(`round ${round} of ${ROUNDS}`)
          // Who begins changes, so that neither always has the warmer machine.
          for (const side of round % 2 === 0 ? [...sides].reverse() : sides) await measure(side, side)
        }
        summarize(report, sides)
      }),
    )
    countAlone(report)
  },
}

function sideOf(label: string, { target, calls }: Server): Side {
  return { server: { target: { ...target, label }, calls }, perSecond: [], cpuUs: [], p50: [] }
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

/** Memory of several agents just started, of which one in two serves metrics and was scraped once. */
async function measureRest(report: Report, on: { metrics: { listen: string } }): Promise<void> {
  const own: [number[], number[]] = [[], []]
  const proportional: [number[], number[]] = [[], []]
  for (let start = 1; start <= STARTS; start++) {
    report.progress(`at rest, start ${start} of ${STARTS}`)
    for (const [side, config] of [{}, on].entries()) {
      const agent = await startTestAgent({ config })
      if (config === on) await fetch(`http://${on.metrics.listen}/metrics`).then((answer) => answer.text())
      await sleep(SETTLE_MS)
      const memory = memoryOf(agent.pid)
      own[side]?.push(memory.own)
      proportional[side]?.push(memory.proportional)
      await agent.stop()
    }
  }
  const table = report.table(`at rest: MiB, medians of ${STARTS} starts`, [
    { title: 'agent', width: 20 },
    ...['own', 'min', 'max', 'proportional'].map((title) => ({ title, digits: 2 })),
  ])
  for (const [side, label] of LABELS.entries()) {
    const { median: middle, min, max } = spread(own[side] as number[])
    table.row(label, middle, min, max, median(proportional[side] as number[]))
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
      const watch = new ExecutionObserver('f', counts, undefined, monotonicMs())
      watch.hasSlot()
      watch.hasStarted(monotonicMs())
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
