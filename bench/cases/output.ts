import type { Histogram } from 'hdr-histogram-js'
import { noRedis } from '../../harness/redis.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { type MemoryPeak, watchMemory } from '../measure/memory.js'
import { deployNative, PRINTER, SLEEPER } from '../measure/native-function.js'
import { histogram, median, microseconds } from '../measure/statistics.js'
import { type StoredExecutions, storedExecutions } from '../measure/stored.js'
import { type Compared, reportPairs } from '../report/pairs.js'
import type { Report, Table } from '../report/report.js'
import type { AgentNeeds, Targets } from '../targets/target.js'
import { firstOutput, sightsOf } from './first-output.js'
import { type Measured, OutputCalls } from './output-calls.js'

const MB = 1_000_000
const ROUNDS = 5
const SIZES = [
  { bytes: 1 * MB, callsEachRound: 10 },
  { bytes: 10 * MB, callsEachRound: 4 },
  { bytes: 40 * MB, callsEachRound: 1 },
  // More than an answer can carry: everything is read, and the agent's cap retained.
  { bytes: 100 * MB, callsEachRound: 1 },
] as const
const MODES = ['sync', 'async'] as const
/** The largest value allowed in agent.yaml. */
const MAX_OUTPUT = '40MiB'

interface Subject extends Server {
  readonly stored: StoredExecutions | undefined
}

/** Calls of one server, size and mode. */
interface Series {
  /** By round; empty where the store is not known. */
  readonly rounds: Measured[][]
  readonly memory: MemoryPeak[]
}

export const output: Bench = {
  name: 'output',
  about: 'large outputs, sync and async, on Redis and embedded, and when the first of them is seen',

  async run(report, targets) {
    for (const store of storesOf(targets)) {
      await withServers(targets, { store, config: { max_output_bytes: MAX_OUTPUT } }, async (servers) => {
        const subjects = servers.map((server) => ({ ...server, stored: storedExecutions(server.target) }))
        const where = targets.given ? 'the store of each' : store
        try {
          for (const { calls } of servers) for (const each of [PRINTER, SLEEPER]) await deployNative(calls, each)
          await sizes(report, where, subjects)
          await firsts(report, where, subjects)
        } finally {
          for (const { stored } of subjects) await stored?.close()
        }
      })
    }
  },
}

/** An own agent is measured on both stores; given servers with theirs. */
function storesOf({ given }: Targets): AgentNeeds['store'][] {
  if (given) return ['redis']
  return noRedis ? ['embedded'] : ['redis', 'embedded']
}

async function sizes(report: Report, where: string, subjects: readonly Subject[]): Promise<void> {
  const table = report.table(`on ${where}: MB printed and kept of each output, milliseconds, MiB of agent memory`, [
    { title: 'server', width: 20 },
    { title: 'call', width: 5 },
    { title: 'printed' },
    ...['kept', 'MB/s', 'p50', 'max'].map((title) => ({ title, digits: 1 })),
    { title: 'to Redis per byte', digits: 3 },
    { title: 'commands per MB', digits: 1 },
    ...['memory before', 'peak'].map((title) => ({ title, digits: 1 })),
  ])
  const compared: Compared[] = []
  for (const { bytes, callsEachRound } of SIZES) {
    report.progress(`${bytes / MB} MB on ${where}`)
    const outputs: OutputCalls[] = []
    for (const { target, calls, stored } of subjects) outputs.push(await OutputCalls.open(target, calls, stored, bytes))
    for (const mode of MODES) {
      const series = outputs.map((): Series => ({ rounds: [], memory: [] }))
      for (let round = 0; round < ROUNDS; round++) {
        for (const [i, calls] of outputs.entries()) await measure(calls, mode, callsEachRound, series[i] as Series)
      }
      for (const [i, calls] of outputs.entries()) tell(table, calls, mode, series[i] as Series)
      const values = series.map(({ rounds }) => rounds.map((calls) => median(calls.map(({ ms }) => ms))))
      if (values.every((medians) => medians.length > 0)) compared.push({ name: `${mode}, ${bytes / MB} MB`, values })
    }
  }
  reportPairs(
    report,
    `milliseconds on ${where}`,
    subjects.map(({ target }) => target.label),
    compared,
  )
}

async function measure(outputs: OutputCalls, mode: (typeof MODES)[number], count: number, series: Series) {
  const memory = watchMemory(outputs.target)
  const round: Measured[] = []
  for (let i = 0; i < count; i++) {
    const measured = await outputs[mode]()
    if (measured) round.push(measured)
  }
  const peak = memory.stop()
  if (peak) series.memory.push(peak)
  if (round.length > 0) series.rounds.push(round)
}

function tell(table: Table, { target, printed, kept }: OutputCalls, mode: string, { rounds, memory }: Series): void {
  const measured = rounds.flat()
  if (measured.length === 0) {
    table.row(target.label, mode, printed.length / MB)
    return
  }
  const times = histogram()
  for (const { ms } of measured) times.recordValue(microseconds(ms))
  const p50 = times.getValueAtPercentile(50) / 1000
  const traffic = measured.flatMap(({ redis }) => redis ?? [])
  const toRedis = (what: 'bytes' | 'commands') =>
    traffic.length === 0 ? undefined : traffic.reduce((sum, each) => sum + each[what], 0) / traffic.length
  const [bytes, commands] = [toRedis('bytes'), toRedis('commands')]
  table.row(
    target.label,
    mode,
    printed.length / MB,
    kept / MB,
    kept / 1000 / p50,
    p50,
    times.maxValue / 1000,
    bytes && bytes / kept,
    commands && commands / (kept / MB),
    memory[0]?.before,
    memory.length > 0 ? Math.max(...memory.map(({ peak }) => peak)) : undefined,
  )
}

async function firsts(report: Report, where: string, subjects: readonly Subject[]): Promise<void> {
  const table = report.table(`on ${where}: milliseconds from an async call until its first output is seen`, [
    { title: 'server', width: 20 },
    { title: 'seen by', width: 12 },
    { title: 'samples' },
    ...['p50', 'p99', 'max'].map((title) => ({ title, digits: 1 })),
  ])
  const curves: { label: string; histogram: Histogram }[] = []
  for (const { target, calls, stored } of subjects) {
    for (const sight of sightsOf(calls, stored)) {
      report.progress(`first output, as ${sight.name} shows it`)
      const seen = await firstOutput(calls, sight)
      const at = (percentile: number) => seen.getValueAtPercentile(percentile) / 1000
      table.row(target.label, sight.name, seen.totalCount, at(50), at(99), seen.maxValue / 1000)
      curves.push({ label: `${target.label}, ${sight.name}`, histogram: seen })
    }
  }
  report.curve(`first output seen, on ${where}`, curves)
}
