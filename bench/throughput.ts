import { readFileSync } from 'node:fs'
import type { Histogram } from 'hdr-histogram-js'
import { startTestAgent, type TestAgent } from '../test/support/agent.js'
import { Calls } from '../test/support/calls.js'
import { childrenOf, cpuTicks } from '../test/support/proc.js'
import { buildZip, PROGRAM } from '../test/support/zip.js'
import type { Bench } from './bench.js'
import { measureFloor } from './floor.js'
import type { Report } from './report.js'
import { histogram, median, microseconds, spread } from './statistics.js'

const ROUNDS = 5
const ROUND_MS = 2000
const IN_FLIGHT = [1, 16, 64, 256] as const
const TICK_MS = 10

/** What a function is, and how long its output must be. */
const FUNCTIONS = [
  // The floor's program itself: a script would start two.
  { name: 'true', program: readFileSync('/bin/true'), output: 0 },
  { name: 'kib', program: `#!/bin/sh\necho ${'x'.repeat(1023)}\n`, output: 1024 },
] as const

/** One closed loop: the next call of a lane begins when its last one has been answered. */
interface Measured {
  readonly perSecond: number
  /** Microseconds. */
  readonly latencies: Histogram
  readonly agentCpuMs: number
  readonly clientCpuMs: number
}

export const throughput: Bench = {
  name: 'throughput',
  about: 'sync executions over gRPC, by how many are in flight',

  async run(report) {
    const agent = await startTestAgent()
    const calls = new Calls(agent.client)
    try {
      for (const { name, program } of FUNCTIONS) {
        const archive = buildZip([{ name: 'main', contents: program, mode: PROGRAM }])
        const { success, message } = await calls.deploy(name, archive, { name, handler: 'main' })
        if (!success) throw new Error(message)
      }
      for (const inFlight of [1, 64]) await measure(agent, calls, FUNCTIONS[0], inFlight)
      for (const called of FUNCTIONS) await rounds(report, agent, calls, called)
    } finally {
      await agent.stop()
    }
  },
}

async function rounds(report: Report, agent: TestAgent, calls: Calls, called: (typeof FUNCTIONS)[number]) {
  const table = report.table(`sync, ${called.output} bytes of output: per second, beside the floor of the same round`, [
    { title: 'round' },
    { title: 'floor' },
    ...IN_FLIGHT.map((inFlight) => ({ title: `${inFlight} in flight` })),
  ])
  const ratios = new Map<number, number[]>(IN_FLIGHT.map((inFlight) => [inFlight, []]))
  const results = new Map<number, Measured[]>(IN_FLIGHT.map((inFlight) => [inFlight, []]))
  for (let round = 1; round <= ROUNDS; round++) {
    const floor = await measureFloor(ROUND_MS / 2)
    for (const inFlight of IN_FLIGHT) {
      report.progress(`${inFlight} in flight, round ${round} of ${ROUNDS}`)
      const measured = await measure(agent, calls, called, inFlight)
      results.get(inFlight)?.push(measured)
      ratios.get(inFlight)?.push(measured.perSecond / floor)
    }
    table.row(round, floor, ...IN_FLIGHT.map((inFlight) => results.get(inFlight)?.at(-1)?.perSecond))
  }
  const summary = report.table('medians, ratios to the floor, milliseconds', [
    { title: 'in flight' },
    { title: 'per second' },
    { title: 'ratio', digits: 3 },
    { title: 'min', digits: 3 },
    { title: 'max', digits: 3 },
    ...['p50', 'p99', 'p99.9', 'agent CPU each', 'client CPU each'].map((title) => ({ title, digits: 2 })),
  ])
  const curves: { label: string; histogram: Histogram }[] = []
  for (const inFlight of IN_FLIGHT) {
    const of = results.get(inFlight) as Measured[]
    const ratio = ratios.get(inFlight) as number[]
    const all = histogram()
    for (const { latencies } of of) all.add(latencies)
    curves.push({ label: `${inFlight} in flight`, histogram: all })
    const at = (percentile: number) => all.getValueAtPercentile(percentile) / 1000
    summary.row(
      inFlight,
      median(of.map(({ perSecond }) => perSecond)),
      median(ratio),
      Math.min(...ratio),
      Math.max(...ratio),
      at(50),
      at(99),
      at(99.9),
      median(of.map(({ agentCpuMs }) => agentCpuMs)),
      median(of.map(({ clientCpuMs }) => clientCpuMs)),
    )
  }
  const what = `sync, ${called.output} bytes of output`
  const bars = IN_FLIGHT.map((inFlight) => ({
    label: `${inFlight} in flight`,
    ...spread(ratios.get(inFlight) as number[]),
  }))
  report.ratios(`${what}: per second`, bars, 'the floor')
  report.curve(`${what}: to the answer, closed loop`, curves)
}

async function measure(
  agent: TestAgent,
  calls: Calls,
  { name, output }: (typeof FUNCTIONS)[number],
  inFlight: number,
): Promise<Measured> {
  const latencies = histogram()
  const ownBefore = process.cpuUsage()
  const agentBefore = agentTicks(agent)
  const begun = performance.now()
  const end = begun + ROUND_MS
  const lane = async () => {
    for (let from = performance.now(); from < end; ) {
      const answer = await calls.execute({ function_name: name })
      if (answer.error !== '' || answer.output.length !== output) {
        throw new Error(`an execution answers ${answer.output.length} bytes and "${answer.error}"`)
      }
      const now = performance.now()
      latencies.recordValue(microseconds(now - from))
      from = now
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(ownBefore)
  const count = latencies.totalCount
  return {
    perSecond: count / seconds,
    latencies,
    agentCpuMs: ((agentTicks(agent) - agentBefore) * TICK_MS) / count,
    clientCpuMs: (user + system) / 1000 / count,
  }
}

/** Of the agent with all its threads, and of its launchers; not of the functions. */
function agentTicks(agent: TestAgent): number {
  return [agent.pid, ...childrenOf(agent.pid).map(({ pid }) => pid)].reduce((sum, pid) => sum + cpuTicks(pid), 0)
}
