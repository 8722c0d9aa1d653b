import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import type { Bench } from './bench.js'
import { nativeProgram } from './native.js'
import { median } from './statistics.js'

const ROUNDS = 7
const ROUND_MS = 1000

/** Starts per second that this machine can do at the most, measured for so long. */
export async function measureFloor(ms: number): Promise<number> {
  return (await runFloor(availableParallelism(), ms)).perSecond
}

/** Milliseconds that a single start takes, from the call to the reaped process; the median of so long. */
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
  about: `/bin/true by posix_spawn from C, ${availableParallelism()} processes side by side`,
  ofMachine: true,

  async run(report) {
    const rounds = report.table('starts per second', [{ title: 'round' }, { title: 'floor' }])
    const rates: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const rate = await measureFloor(ROUND_MS)
      rates.push(rate)
      rounds.row(round, rate)
    }
    const summary = report.table('summary', [{ title: 'median' }, { title: 'min' }, { title: 'max' }])
    summary.row(median(rates), Math.min(...rates), Math.max(...rates))
  },
}
