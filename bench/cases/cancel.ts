import type { Histogram } from 'hdr-histogram-js'
import { noRedis } from '../../harness/redis.js'
import type { Bench } from '../bench.js'
import { withServers } from '../measure/control.js'
import { Deaths } from '../measure/deaths.js'
import { reportPairs } from '../report/pairs.js'
import type { Report, Table } from '../report/report.js'
import { type Latencies, measureScene, type Scene, together } from './cancel-rounds.js'
import { CancelServer, type Victim } from './cancel-server.js'
import { PLAIN, SHAPES } from './shapes.js'

const WARM_UP = 30
const AT_ONCE = 100
const ROUNDS_AT_ONCE = 10
const ALONE = { plain: 0, flooding: 0 }
const SCENES: readonly Scene[] = [
  ...SHAPES.map((shape) => ({ name: shape.name, shape, samples: shape === PLAIN ? 80 : 30, others: ALONE })),
  { name: 'plain, among 200, 2 of them flooding', shape: PLAIN, samples: 80, others: { plain: 198, flooding: 2 } },
]

export const cancel: Bench = {
  name: 'cancel',
  about: 'from a CancelExecution call to the death of the last process, to the answer, and to the record',

  async run(report, targets) {
    const deaths = new Deaths()
    try {
      await withServers(targets, { store: noRedis ? 'embedded' : 'redis' }, async (all) => {
        const servers = await Promise.all(all.map((server) => CancelServer.open(server, deaths)))
        const survivors = await measure(report, servers)
        if (survivors > 0) throw new Error(`${survivors} processes have survived a cancel`)
      })
    } finally {
      await deaths.close()
    }
  },
}

/** Answers how many survived. */
async function measure(report: Report, servers: readonly CancelServer[]): Promise<number> {
  try {
    for (const server of servers) {
      for (let i = 0; i < WARM_UP; i++) await server.cancel(await server.run(PLAIN))
    }
    return (await oneByOne(report, servers)) + (await atOnce(report, servers))
  } finally {
    for (const server of servers) server.close()
  }
}

/** Answers how many survived. */
async function oneByOne(report: Report, servers: readonly CancelServer[]): Promise<number> {
  const table = latencyTable(report)
  const curves: (Latencies & { readonly label: string })[] = []
  const compared: { name: string; values: number[][] }[] = []
  for (const scene of SCENES) {
    report.progress(scene.name)
    const measured = await measureScene(servers, scene)
    for (const [i, { label }] of servers.entries()) {
      const latencies = together(measured[i] ?? [])
      tell(table, label, scene.name, latencies)
      curves.push({ ...latencies, label: servers.length === 1 ? scene.name : `${label}, ${scene.name}` })
    }
    for (const which of ['dead', 'answered', 'recorded'] as const) {
      // Without deaths there is nothing to compare.
      if (measured.flat().some((round) => round[which].totalCount === 0)) continue
      const values = measured.map((rounds) => rounds.map((round) => round[which].getValueAtPercentile(50)))
      compared.push({ name: `${which} p50, ${scene.name}`, values })
    }
  }
  const labels = servers.map(({ label }) => label)
  reportPairs(report, 'one after the other', labels, compared)
  const curvesOf = (which: 'dead' | 'answered' | 'recorded') =>
    curves
      .map(({ label, [which]: histogram }) => ({ label, histogram }))
      .filter(({ histogram }) => histogram.totalCount > 0)
  report.curve('from the call to the death of the last process', curvesOf('dead'))
  report.curve('from the call to the answer', curvesOf('answered'))
  report.curve('from the call to the record', curvesOf('recorded'))
  return curves.reduce((sum, { survivors }) => sum + survivors, 0)
}

/** Answers how many survived. */
async function atOnce(report: Report, servers: readonly CancelServer[]): Promise<number> {
  const columns = ['all dead', 'all answered'].map((title) => ({ title, digits: 2 }))
  const title = `${AT_ONCE} plain ones cancelled at once, milliseconds`
  const table = report.table(title, [{ title: 'round' }, { title: 'server', width: 20 }, ...columns])
  const dead = servers.map((): number[] => [])
  let survivors = 0
  for (let round = 1; round <= ROUNDS_AT_ONCE; round++) {
    report.progress(`${AT_ONCE} at once, round ${round} of ${ROUNDS_AT_ONCE}`)
    for (const [i, server] of servers.entries()) {
      const ends = await cancelAtOnce(server)
      dead[i]?.push(ends.dead)
      table.row(round, server.label, ends.dead, ends.answered)
      survivors += ends.survivors
    }
  }
  const labels = servers.map(({ label }) => label)
  reportPairs(report, `${AT_ONCE} at once`, labels, [{ name: 'all dead', values: dead }])
  return survivors
}

/** Milliseconds to the last death of all, and the number of survivors. */
async function cancelAtOnce(server: CancelServer): Promise<{ dead: number; answered: number; survivors: number }> {
  const victims: Victim[] = []
  for (let i = 0; i < AT_ONCE; i++) victims.push(await server.run(PLAIN))
  const begun = performance.now()
  const ends = await Promise.all(
    victims.map(async (victim) => {
      const called = performance.now() - begun
      const { dead, answered, survivors } = await server.cancel(victim)
      return { dead: called + dead, answered: called + answered, survivors }
    }),
  )
  return {
    dead: Math.max(...ends.map(({ dead }) => dead)),
    answered: Math.max(...ends.map(({ answered }) => answered)),
    survivors: ends.reduce((sum, { survivors }) => sum + survivors, 0),
  }
}

function latencyTable(report: Report): Table {
  const percentiles = (what: string) => ['p50', 'p99', 'max'].map((which) => ({ title: `${what} ${which}`, digits: 2 }))
  return report.table('milliseconds from the call', [
    { title: 'server', width: 20 },
    { title: 'what is cancelled', width: 36 },
    { title: 'samples' },
    ...percentiles('dead'),
    ...percentiles('answer'),
    ...percentiles('record'),
    { title: 'look p50', digits: 2 },
    { title: 'ping p50', digits: 2 },
    { title: 'ping p99', digits: 2 },
    { title: 'survivors' },
    { title: 'early answers' },
  ])
}

function tell(table: Table, label: string, scene: string, latencies: Latencies): void {
  const { dead, answered, recorded, looks, pings, survivors, early } = latencies
  const at = (of: Histogram, percentile: number) => {
    return of.totalCount === 0 ? undefined : of.getValueAtPercentile(percentile) / 1000
  }
  const all = [dead, answered, recorded].flatMap((of) => [at(of, 50), at(of, 99), at(of, 100)])
  const others = [at(looks, 50), at(pings, 50), at(pings, 99)]
  table.row(label, scene, answered.totalCount, ...all, ...others, survivors, early)
}
