import { randomUUID } from 'node:crypto'
import type { Histogram } from 'hdr-histogram-js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { clockMs } from '../measure/deaths.js'
import { healthMeanwhile } from '../measure/health.js'
import { type Pace, runLoad } from '../measure/load.js'
import { type MemoryPeak, watchMemory } from '../measure/memory.js'
import { deployNative, SLEEPER } from '../measure/native-function.js'
import { numberedExecutions } from '../measure/requests.js'
import { StartTimes } from '../measure/start-times.js'
import { merged } from '../measure/statistics.js'
import { reportPairs } from '../report/pairs.js'
import type { Report, Table } from '../report/report.js'
import type { Target } from '../targets/target.js'

const ROUNDS = 3
const CROWDS = [
  { sleepers: 500, sleepMs: 2_000 },
  { sleepers: 2_000, sleepMs: 4_000 },
  // So long that, on a slow machine too, the first still sleeps when the last starts.
  { sleepers: 5_000, sleepMs: 12_000 },
] as const
/** What sleeper.c prints. */
const OUTPUT_BYTES = 21
/** For an agent that has worked before: code is compiled, and heaps have their final size. */
const WARM_UP = { kind: 'closed', inFlight: 64, durationMs: 3_000 } as const

type Crowd = Readonly<Record<keyof (typeof CROWDS)[number], number>>

interface Measured {
  /** From the first call to the start of the last process. */
  readonly startedMs: number
  /** The most that slept at the same time. */
  readonly atOnce: number
  /** Latencies of whole calls. */
  readonly latencies: Histogram
  readonly health: Histogram
  readonly memory: MemoryPeak | undefined
}

interface Called {
  /** `clockMs` of the first call, without the client's start. */
  readonly called: number
  readonly latencies: Histogram
}

export const many: Bench = {
  name: 'many',
  about: 'hundreds and thousands of sync executions that sleep, all called at once',

  async run(report, targets) {
    const table = report.table('milliseconds; extra: of a call beyond what its process sleeps', [
      { title: 'server', width: 20 },
      { title: 'sleepers' },
      { title: 'round' },
      { title: 'at once' },
      { title: 'all started' },
      ...['p50', 'p99', 'max'].map((title) => ({ title: `extra ${title}` })),
      ...['p50', 'p99', 'max'].map((title) => ({ title: `health ${title}`, digits: 1 })),
      { title: 'KiB each', digits: 1 },
    ])
    for (const crowd of CROWDS) {
      const rounds = new Map<string, Measured[]>()
      for (let round = 1; round <= ROUNDS; round++) {
        report.progress(`${crowd.sleepers} sleepers, round ${round} of ${ROUNDS}`)
        // A fresh agent each time: one that had a crowd before keeps the memory for the next.
        await withServers(targets, { store: 'embedded' }, async (servers) => {
          for (const server of servers) {
            const { label } = server.target
            const measured = await measure(server, crowd)
            tell(table, label, crowd, round, measured)
            rounds.set(label, [...(rounds.get(label) ?? []), measured])
          }
        })
      }
      summarize(report, `${crowd.sleepers} sleepers`, rounds)
    }
  },
}

async function measure({ target, calls }: Server, crowd: Crowd): Promise<Measured> {
  const starts = new StartTimes()
  await deployNative(calls, SLEEPER)
  await sleep(target, 0, WARM_UP, starts)
  starts.take()
  const memory = watchMemory(target)
  const { outcome, health } = await healthMeanwhile(target, () => sleepAll(target, crowd, starts))
  const began = starts.take()
  if (began.length !== crowd.sleepers) throw new Error(`${began.length} of ${crowd.sleepers} sleepers have begun`)
  return {
    startedMs: (began.at(-1) as number) - outcome.called,
    atOnce: mostAtOnce(began, crowd.sleepMs),
    latencies: outcome.latencies,
    health,
    memory: memory.stop(),
  }
}

async function sleepAll(target: Target, { sleepers, sleepMs }: Crowd, starts: StartTimes): Promise<Called> {
  const called = clockMs()
  return {
    called,
    latencies: await sleep(target, sleepMs, { kind: 'counted', inFlight: sleepers, callsEach: 1 }, starts),
  }
}

/** Latencies of the calls. */
async function sleep(target: Target, sleepMs: number, pace: Pace, starts: StartTimes): Promise<Histogram> {
  const request = { function_name: SLEEPER.name, args: [String(sleepMs), starts.file] }
  const { result } = runLoad({
    target,
    ...numberedExecutions(request, `${randomUUID()}-`),
    outputBytes: OUTPUT_BYTES,
    pace,
  })
  return (await result).latencies
}

/** `began`: in ascending order. */
function mostAtOnce(began: readonly number[], sleepMs: number): number {
  let first = 0
  let most = 0
  for (const [last, at] of began.entries()) {
    while ((began[first] as number) + sleepMs <= at) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

function tell(table: Table, label: string, { sleepers, sleepMs }: Crowd, round: number, measured: Measured): void {
  const { startedMs, atOnce, latencies, health, memory } = measured
  const percentiles = (of: Histogram) => [of.getValueAtPercentile(50), of.getValueAtPercentile(99), of.maxValue]
  table.row(
    label,
    sleepers,
    round,
    atOnce,
    startedMs,
    ...percentiles(latencies).map((microseconds) => microseconds / 1000 - sleepMs),
    ...percentiles(health).map((microseconds) => microseconds / 1000),
    memory && ((memory.peak - memory.before) * 1024) / atOnce,
  )
}

function summarize(report: Report, what: string, rounds: ReadonlyMap<string, readonly Measured[]>): void {
  const servers = [...rounds.values()]
  const curves = [...rounds].map(([label, measured]) => ({
    label,
    histogram: merged(measured.map(({ health }) => health)),
  }))
  report.curve(`${what}: health checks meanwhile`, curves)
  const p99 = ({ latencies }: Measured) => latencies.getValueAtPercentile(99)
  reportPairs(
    report,
    what,
    [...rounds.keys()],
    [
      { name: 'all started', values: servers.map((measured) => measured.map(({ startedMs }) => startedMs)) },
      { name: 'p99 of a call', values: servers.map((measured) => measured.map(p99)) },
    ],
  )
}
