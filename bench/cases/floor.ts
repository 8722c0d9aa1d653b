import { type ChildProcess, execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import type { Bench } from '../bench.js'
import { ask, openProcess } from '../measure/measuring-process.js'
import { nativeProgram } from '../measure/native.js'
import { spread } from '../measure/statistics.js'
import type { Report } from '../report/report.js'

const ROUNDS = 7
const ROUND_MS = 1000

/** The most starts per second that this machine can do, measured for this long. */
export async function measureFloor(ms: number): Promise<number> {
  return (await runFloor(availableParallelism(), ms)).perSecond
}

/** Median duration of a single start, from the call to the reaped process, milliseconds. */
export async function measureStart(ms: number): Promise<number> {
  return (await runFloor(1, ms)).medianMs
}

async function runFloor(processes: number, ms: number): Promise<{ perSecond: number; medianMs: number }> {
  const { stdout } = await promisify(execFile)(nativeProgram('floor'), [String(processes), String(ms)])
  const [perSecond = 0, medianUs = 0] = stdout.split(' ').map(Number)
  return { perSecond, medianMs: medianUs / 1000 }
}

export const floor: Bench = {
  name: 'floor',
  about: `/bin/true by posix_spawn from C, and by child_process, ${availableParallelism()} processes side by side`,
  ofMachine: true,

  async run(report) {
    const nodes = await Promise.all(Array.from({ length: availableParallelism() }, () => openProcess('spawn-process')))
    try {
      await measureBoth(report, nodes)
    } finally {
      for (const node of nodes) node.kill()
    }
  },
}

async function measureBoth(report: Report, nodes: readonly ChildProcess[]): Promise<void> {
  const rounds = report.table('starts per second', [
    { title: 'round' },
    { title: 'floor' },
    { title: 'child_process' },
    { title: 'ratio', digits: 3 },
  ])
  const [floors, others, ratios]: [number[], number[], number[]] = [[], [], []]
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    report.progress(`round ${round} of ${ROUNDS}`)
    const rate = await measureFloor(ROUND_MS)
    const other = await measureNodes(nodes)
    if (round === 0) continue
    floors.push(rate)
    others.push(other)
    ratios.push(other / rate)
    rounds.row(round, rate, other, other / rate)
  }
  const summary = report.table('medians, and ratios to the floor of the same round', [
    { title: 'way', width: 13 },
    ...['per second', 'lowest', 'highest'].map((title) => ({ title })),
    ...['ratio', 'min', 'max'].map((title) => ({ title, digits: 3 })),
  ])
  const cells = ({ median, min, max }: ReturnType<typeof spread>) => [median, min, max]
  summary.row('floor', ...cells(spread(floors)), 1, 1, 1)
  summary.row('child_process', ...cells(spread(others)), ...cells(spread(ratios)))
  report.ratios('starts per second', [{ label: 'child_process', ...spread(ratios) }], 'the floor')
}

async function measureNodes(nodes: readonly ChildProcess[]): Promise<number> {
  const rates = await Promise.all(nodes.map((node) => ask(node, { durationMs: ROUND_MS })))
  return (rates as number[]).reduce((sum, rate) => sum + rate, 0)
}
