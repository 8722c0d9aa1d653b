import type { Histogram } from 'hdr-histogram-js'
import type { Bench } from './bench.js'
import { CancelAgent, type Cancelled, type Victim } from './cancel-agent.js'
import type { Report, Table } from './report.js'
import { PLAIN, SHAPES, type Shape } from './shapes.js'
import { histogram, microseconds } from './statistics.js'

const SAMPLES = 400
const SAMPLES_OF_OTHERS = 150
const WARM_UP = 30
const RUNNING = 200
const FLOODING = 2
const AT_ONCE = 100
const ROUNDS_AT_ONCE = 10
const FLOOD = SHAPES.find(({ name }) => name === 'floods output') as Shape

/** Of one kind of cancel; microseconds. */
interface Latencies {
  readonly dead: Histogram
  readonly answered: Histogram
  readonly pings: Histogram
  survivors: number
  /** Answers that came before the last death. */
  early: number
}

export const cancel: Bench = {
  name: 'cancel',
  about: 'from a CancelExecution call to the death of the last process, and to the answer',

  async run(report) {
    const agent = await CancelAgent.start()
    const curves: { label: string; dead: Histogram; answered: Histogram }[] = []
    let survivors = 0
    try {
      for (let i = 0; i < WARM_UP; i++) await agent.cancel(await agent.run(PLAIN))
      const table = latencyTable(report)
      for (const shape of SHAPES) {
        report.progress(shape.name)
        const latencies = await sample(agent, shape, shape === PLAIN ? SAMPLES : SAMPLES_OF_OTHERS)
        survivors += latencies.survivors
        tell(table, shape.name, latencies)
        curves.push({ label: shape.name, ...latencies })
      }
      survivors += await amongOthers(agent, table)
      survivors += await atOnce(agent, report)
    } finally {
      await agent.stop()
    }
    if (survivors > 0) throw new Error(`${survivors} processes have survived a cancel`)
    const curvesOf = (which: 'dead' | 'answered') =>
      curves.map(({ label, [which]: histogram }) => ({ label, histogram }))
    report.curve('from the call to the death of the last process', curvesOf('dead'))
    report.curve('from the call to the answer', curvesOf('answered'))
  },
}

/** Plain ones, one after the other, while others run. */
async function amongOthers(agent: CancelAgent, table: Table): Promise<number> {
  const others: Victim[] = []
  for (let i = 0; i < RUNNING; i++) others.push(await agent.run(i < RUNNING - FLOODING ? PLAIN : FLOOD))
  const latencies = await sample(agent, PLAIN, SAMPLES)
  tell(table, `plain, among ${RUNNING}, ${FLOODING} of them flooding`, latencies)
  const ends = await Promise.all(others.map((victim) => agent.cancel(victim)))
  return latencies.survivors + sum(ends)
}

async function atOnce(agent: CancelAgent, report: Report): Promise<number> {
  const columns = ['all dead', 'all answered'].map((title) => ({ title, digits: 2 }))
  const table = report.table(`${AT_ONCE} plain ones cancelled at once, milliseconds`, [{ title: 'round' }, ...columns])
  let survivors = 0
  for (let round = 1; round <= ROUNDS_AT_ONCE; round++) {
    const victims: Victim[] = []
    for (let i = 0; i < AT_ONCE; i++) victims.push(await agent.run(PLAIN))
    const begun = performance.now()
    const ends = await Promise.all(
      victims.map(async (victim) => {
        const called = performance.now() - begun
        const { dead, answered, survivors } = await agent.cancel(victim)
        return { dead: called + dead, answered: called + answered, survivors }
      }),
    )
    table.row(round, Math.max(...ends.map(({ dead }) => dead)), Math.max(...ends.map(({ answered }) => answered)))
    survivors += sum(ends)
  }
  return survivors
}

async function sample(agent: CancelAgent, shape: Shape, samples: number): Promise<Latencies> {
  const latencies: Latencies = { dead: histogram(), answered: histogram(), pings: histogram(), survivors: 0, early: 0 }
  for (let i = 0; i < samples; i++) {
    const victim = await agent.run(shape)
    latencies.pings.recordValue(microseconds(await agent.ping()))
    const { dead, answered, survivors } = await agent.cancel(victim)
    if (survivors === 0) latencies.dead.recordValue(microseconds(dead))
    latencies.answered.recordValue(microseconds(answered))
    latencies.survivors += survivors
    if (answered < dead) latencies.early++
  }
  return latencies
}

function latencyTable(report: Report): Table {
  const percentiles = (what: string) => ['p50', 'p99', 'max'].map((which) => ({ title: `${what} ${which}`, digits: 2 }))
  return report.table('milliseconds from the call', [
    { title: 'what is cancelled', width: 36 },
    { title: 'samples' },
    ...percentiles('dead'),
    ...percentiles('answer'),
    { title: 'ping p50', digits: 2 },
    { title: 'ping p99', digits: 2 },
    { title: 'survivors' },
    { title: 'early answers' },
  ])
}

function tell(table: Table, name: string, { dead, answered, pings, survivors, early }: Latencies): void {
  const at = (histogram: Histogram, percentile: number) => histogram.getValueAtPercentile(percentile) / 1000
  const both = [dead, answered].flatMap((of) => [at(of, 50), at(of, 99), of.maxValue / 1000])
  table.row(name, answered.totalCount, ...both, at(pings, 50), at(pings, 99), survivors, early)
}

function sum(ends: readonly Cancelled[]): number {
  return ends.reduce((total, { survivors }) => total + survivors, 0)
}
