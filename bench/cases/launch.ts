import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { StarterSetup } from '../../src/os/platform.js'
import type { FunctionUsers } from '../../src/threads/messages.js'
import type { Bench } from '../bench.js'
import { ask, openProcess } from '../measure/measuring-process.js'
import { processorMs, withReapedMs } from '../measure/processor-time.js'
import { noSeparateStarts, type PoolTask } from '../measure/start-pool.js'
import type { StartRate } from '../measure/start-worker.js'
import { median, spread } from '../measure/statistics.js'
import type { Report } from '../report/report.js'
import { measureFloor } from './floor.js'

const ROUNDS = 9
const ROUND_MS = 1000
const HEAPS_MB = [0, 100, 300]
const KINDS = ['launcher', 'child_process'] as const
/** By the launcher, without memory: one user for all functions, and one with its sandbox for each. */
const USERS = ['shared', 'separate'] as const

/** One way to start processes, at one size of the starting process. */
interface Way {
  readonly name: string
  readonly kind: StarterSetup['kind']
  readonly users: FunctionUsers['kind']
  readonly heapMb: number
  readonly process: ChildProcess
  readonly rates: number[]
  readonly ratios: number[]
  /** Processor time of a start, milliseconds. */
  readonly costs: number[]
  /** The floor's, divided by that. */
  readonly costRatios: number[]
}

/** Starts per second, and processor time of one start, milliseconds. */
interface Measured {
  readonly rate: number
  readonly cost: number
}

export const launch: Bench = {
  name: 'launch',
  about: '/bin/true by the worker threads, with the launcher and with child_process, beside the floor',
  ofMachine: true,

  async run(report) {
    const processes = await Promise.all(HEAPS_MB.map((heapMb) => openProcess('launch-process', [String(heapMb)])))
    const [first] = processes as [ChildProcess]
    const ways = HEAPS_MB.flatMap((heapMb, i) =>
      KINDS.map((kind) => way({ name: kind, kind, users: 'agent', heapMb, process: processes[i] as ChildProcess })),
    )
    const notSeparate = noSeparateStarts()
    const byUsers = notSeparate
      ? []
      : USERS.map((users) => way({ name: users, kind: 'launcher', users, heapMb: 0, process: first }))
    ways.push(...byUsers)
    const floors = await measureWays(report, ways).finally(() => closeAll(processes))

    const summary = report.table('medians, and ratios to the floor of the same round', [
      { title: 'way', width: 13 },
      { title: 'MB a thread' },
      { title: 'per second' },
      { title: 'ratio', digits: 3 },
      { title: 'min', digits: 3 },
      { title: 'max', digits: 3 },
      { title: 'by processor time', digits: 3 },
    ])
    summary.row('floor', undefined, median(floors), 1, 1, 1, 1)
    for (const { name, heapMb, rates, ratios, costRatios } of ways) {
      const { median: ratio, min, max } = spread(ratios)
      summary.row(name, heapMb, median(rates), ratio, min, max, median(costRatios))
    }
    const bars = ways.map(({ name, heapMb, ratios }) => ({ label: `${name}, ${heapMb} MB`, ...spread(ratios) }))
    report.ratios('starts per second', bars, 'the floor')
    const [shared, separate] = byUsers
    if (shared && separate) compareUsers(report, shared, separate)
    else report.progress(`functions cannot be kept apart here: ${notSeparate}`)
  },
}

function way(of: Pick<Way, 'name' | 'kind' | 'users' | 'heapMb' | 'process'>): Way {
  return { ...of, rates: [], ratios: [], costs: [], costRatios: [] }
}

function compareUsers(report: Report, shared: Way, separate: Way): void {
  const ratios = separate.rates.map((rate, round) => rate / (shared.rates[round] as number))
  const moreMs = separate.costs.map((cost, round) => cost - (shared.costs[round] as number))
  const { median: ratio, min, max } = spread(ratios)
  const costRatio = median(shared.costs.map((cost, round) => cost / (separate.costs[round] as number)))
  report
    .table('starts of separate functions beside those of shared ones, in the same round', [
      ...['ratio', 'min', 'max', 'by processor time'].map((title) => ({ title, digits: 3 })),
      { title: 'µs more of processor time', digits: 1 },
    ])
    .row(ratio, min, max, costRatio, median(moreMs) * 1000)
}

/** Answers the floor of each round. */
async function measureWays(report: Report, ways: readonly Way[]): Promise<number[]> {
  const columns = ways.map(({ name, heapMb }) => ({ title: `${name}, ${heapMb} MB` }))
  const rounds = report.table('starts per second', [{ title: 'round' }, { title: 'floor' }, ...columns])
  const floors: number[] = []
  // The first round warms up: code is compiled, spare cgroups and named pipes are made.
  for (let round = 0; round <= ROUNDS; round++) {
    report.progress(round === 0 ? 'warming up' : `round ${round} of ${ROUNDS}`)
    const floor = await measureFloorCost()
    const measured: Measured[] = []
    for (const way of ways) measured.push(await measure(way))
    if (round === 0) continue
    floors.push(floor.rate)
    measured.forEach(({ rate, cost }, i) => {
      ways[i]?.rates.push(rate)
      ways[i]?.ratios.push(rate / floor.rate)
      ways[i]?.costs.push(cost)
      ways[i]?.costRatios.push(floor.cost / cost)
    })
    rounds.row(round, floor.rate, ...measured.map(({ rate }) => rate))
  }
  return floors
}

async function closeAll(processes: readonly ChildProcess[]): Promise<void> {
  const running = processes.filter(({ connected }) => connected)
  for (const process of running) process.send('close')
  await Promise.all(running.map((process) => once(process, 'exit')))
}

async function measureFloorCost(): Promise<Measured> {
  const before = withReapedMs(process.pid)
  const rate = await measureFloor(ROUND_MS)
  return { rate, cost: (withReapedMs(process.pid) - before) / ((rate * ROUND_MS) / 1000) }
}

async function measure({ process, kind, users }: Way): Promise<Measured> {
  const pid = process.pid as number
  const before = processorMs(pid)
  const answer = await ask(process, { kind, users, durationMs: ROUND_MS } satisfies PoolTask)
  if (typeof answer === 'string') throw new Error(answer)
  const { starts, perSecond } = answer as StartRate
  return { rate: perSecond, cost: (processorMs(pid) - before) / starts }
}
