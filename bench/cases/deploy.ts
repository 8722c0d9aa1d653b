import assert from 'node:assert/strict'
import type { Histogram } from 'hdr-histogram-js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { healthMeanwhile } from '../measure/health.js'
import { runLoad } from '../measure/load.js'
import { type MemoryPeak, watchMemory } from '../measure/memory.js'
import { deployment } from '../measure/requests.js'
import { median, merged } from '../measure/statistics.js'
import { reportPairs } from '../report/pairs.js'
import type { Report } from '../report/report.js'
import { type Archive, archiveOfMany, archiveOfOne } from './archives.js'

const MB = 1_000_000
const ROUNDS = 7
const ARCHIVES = [
  { name: '1,000 files', build: (version: number) => archiveOfMany(1000, 20_000, version) },
  { name: 'one of 40 MB', build: (version: number) => archiveOfOne(40 * MB, version) },
] as const
/**
 * Uses another function in each round: the old version would be deleted, and ext4 slows down while recently deleted
 * inodes are in its way (`recently_deleted` in fs/ext4/ialloc.c).
 */
const nameOf = (round: number) => `bench-deployed-${round}`

/** What is deployed of each archive, in order. */
const STEPS = ['new', 'same again', 'refused'] as const
type Step = (typeof STEPS)[number]

interface Deployed {
  readonly ms: number
  readonly health: Histogram
  readonly memory: MemoryPeak | undefined
}

/** One server's values, by round. */
type Series = Record<Step, Deployed[]>

export const deploy: Bench = {
  name: 'deploy',
  about: 'an archive of 1,000 files and one of 40 MB: new, unchanged, and refused at once, which is only its transfer',

  run: (report, targets) =>
    withServers(targets, { store: 'embedded' }, async (servers) => {
      for (const { name, build } of ARCHIVES) {
        const series = servers.map((): Series => ({ new: [], 'same again': [], refused: [] }))
        let bytes = 0
        for (let round = 1; round <= ROUNDS; round++) {
          report.progress(`${name}, round ${round} of ${ROUNDS}`)
          const archive = build(round)
          bytes = archive.zip.length
          for (const [i, server] of servers.entries())
            await addRound(series[i] as Series, server, archive, nameOf(round))
        }
        const what = `${name}, ${(bytes / MB).toFixed(1)} MB`
        tell(report, what, servers, series)
        const labels = servers.map(({ target }) => target.label)
        report.curve(
          `${what}: health checks meanwhile`,
          labels.flatMap((label, i) =>
            STEPS.map((step) => ({ label: `${label}, ${step}`, histogram: healthOf((series[i] as Series)[step]) })),
          ),
        )
        const compared = STEPS.map((step) => ({ name: step, values: series.map((of) => of[step].map(({ ms }) => ms)) }))
        reportPairs(report, `${what}, milliseconds`, labels, compared)
      }
    }),
}

async function addRound(series: Series, server: Server, archive: Archive, functionName: string): Promise<void> {
  await server.calls.register({ name: functionName, handler: 'main.sh' })
  for (const step of STEPS) {
    series[step].push(await measure(server, archive, step, functionName))
    const { output, error } = await server.calls.execute({ function_name: functionName, args: [] })
    assert.deepEqual({ error, output: output.toString() }, { error: '', output: archive.output }, step)
  }
}

async function measure({ target }: Server, { zip }: Archive, step: Step, name: string): Promise<Deployed> {
  // Without a config, an unregistered name is refused.
  const deployed = { function_name: name, config: { name, handler: 'main.sh' } }
  const named = step === 'refused' ? { function_name: 'bench-nobody' } : deployed
  const call = deployment({ ...named, code_archive: zip })
  const memory = watchMemory(target)
  const { outcome, health } = await healthMeanwhile(
    target,
    () => runLoad({ target, ...call, pace: { kind: 'counted', inFlight: 1, callsEach: 1 } }).result,
  )
  return { ms: outcome.latencies.maxValue / 1000, health, memory: memory.stop() }
}

function tell(report: Report, what: string, servers: readonly Server[], series: readonly Series[]): void {
  const table = report.table(`${what}: milliseconds, MiB of agent memory`, [
    { title: 'server', width: 20 },
    { title: 'archive', width: 10 },
    { title: 'rounds' },
    ...['median', 'min', 'max', 'beyond transfer'].map((title) => ({ title, digits: 1 })),
    ...['p50', 'p99', 'max'].map((title) => ({ title: `health ${title}`, digits: 2 })),
    ...['memory before', 'peak'].map((title) => ({ title, digits: 1 })),
  ])
  for (const [i, { target }] of servers.entries()) {
    for (const step of STEPS) {
      const rounds = (series[i] as Series)[step]
      const times = rounds.map(({ ms }) => ms)
      const beyond = rounds.map(({ ms }, round) => ms - ((series[i] as Series).refused[round] as Deployed).ms)
      const health = healthOf(rounds)
      const at = (percentile: number) => health.getValueAtPercentile(percentile) / 1000
      const peaks = rounds.flatMap(({ memory }) => memory ?? [])
      table.row(
        target.label,
        step,
        rounds.length,
        ...[median(times), Math.min(...times), Math.max(...times), median(beyond)],
        ...[at(50), at(99), health.maxValue / 1000],
        peaks[0]?.before,
        peaks.length === 0 ? undefined : Math.max(...peaks.map(({ peak }) => peak)),
      )
    }
  }
}

function healthOf(rounds: readonly Deployed[]): Histogram {
  return merged(rounds.map(({ health }) => health))
}
