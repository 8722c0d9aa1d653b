import assert from 'node:assert/strict'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Bench } from '../bench.js'
import { controlClient } from '../measure/control.js'
import { runLoad } from '../measure/load.js'
import { agentMs } from '../measure/processor-time.js'
import { type LoadRequest, numberedDeployments, numberedId, numberedRegistrations } from '../measure/requests.js'
import { median, spread } from '../measure/statistics.js'
import { type Compared, reportPairs } from '../report/pairs.js'
import type { Report } from '../report/report.js'
import type { StartedTarget, Target, Targets } from '../targets/target.js'

const FUNCTIONS = 2000
const ROUNDS = 5
/** The control plane sends a node that comes back one function after the other. */
const IN_FLIGHT = [1, 16] as const
const NAME_PREFIX = 'bench-'

/** What is done with them, in order. */
const STEPS = ['registered', 'deployed', 'registered again', 'deployed again', 'start with them'] as const
type Step = (typeof STEPS)[number]

interface Cost {
  readonly ms: number
  /** Processor time of the agent, milliseconds. */
  readonly cpuMs: number
}

/** One server's costs, by round. */
type Costs = Readonly<Record<Step, Cost[]>>

export const functions: Bench = {
  name: 'functions',
  about: `${FUNCTIONS} functions: registered, deployed, both again with nothing changed, and a start with them`,

  async run(report, targets) {
    const { start } = targets
    if (!start) return report.skip('it starts the agents that it measures')
    for (const inFlight of IN_FLIGHT) {
      const measured = await measureFunctions(report, start, inFlight)
      const what = `${FUNCTIONS} functions, ${inFlight} in flight, milliseconds`
      const table = report.table(what, [
        { title: 'server', width: 20 },
        { title: 'step', width: 16 },
        ...['median', 'min', 'max', 'agent CPU'].map((title) => ({ title })),
      ])
      for (const [label, costs] of measured) {
        for (const step of STEPS) {
          const times = spread(costs[step].map(({ ms }) => ms))
          const cpu = median(costs[step].map(({ cpuMs }) => cpuMs))
          table.row(label, step, times.median, times.min, times.max, cpu)
        }
      }
      reportPairs(report, what, [...measured.keys()], comparedCosts([...measured.values()]))
    }
  },
}

/** Costs of each step, by server and round. */
export function comparedCosts(measured: readonly Costs[]): Compared[] {
  return STEPS.flatMap((step) => [
    { name: step, values: measured.map((costs) => costs[step].map(({ ms }) => ms)) },
    { name: `${step}, CPU`, values: measured.map((costs) => costs[step].map(({ cpuMs }) => cpuMs)) },
  ])
}

/** Costs by the server's label. Fresh agents in each round: what they have had before would be in the way. */
export async function measureFunctions(
  report: Report,
  start: NonNullable<Targets['start']>,
  inFlight: number,
  rounds = ROUNDS,
): Promise<Map<string, Costs>> {
  const measured = new Map<string, Costs>()
  for (let round = 0; round < rounds; round++) {
    report.progress(`${FUNCTIONS} functions, ${inFlight} in flight, round ${round + 1} of ${rounds}`)
    const servers = await start({ store: 'embedded' })
    try {
      for (const server of servers) {
        const { label } = server.target
        const costs = measured.get(label) ?? noCosts()
        measured.set(label, costs)
        await addRound(costs, server, inFlight)
      }
    } finally {
      for (const server of servers) await server.close()
    }
  }
  return measured
}

function noCosts(): Costs {
  return { registered: [], deployed: [], 'registered again': [], 'deployed again': [], 'start with them': [] }
}

async function addRound(costs: Costs, server: StartedTarget, inFlight: number): Promise<void> {
  const { target } = server
  const registrations = numberedRegistrations({ name: '', handler: 'main.sh' }, NAME_PREFIX)
  const deployments = numberedDeployments(archive, NAME_PREFIX)
  costs.registered.push(await call(target, registrations, inFlight))
  costs.deployed.push(await call(target, deployments, inFlight))
  await proveLast(target)
  costs['registered again'].push(await call(target, registrations, inFlight))
  costs['deployed again'].push(await call(target, deployments, inFlight))
  const ms = await server.restart()
  costs['start with them'].push({ ms, cpuMs: agentMs(server.target.pid as number) })
  await proveLast(server.target)
}

const archive = buildZip([{ name: 'main.sh', contents: '#!/bin/sh\necho ok\n', mode: PROGRAM }])

async function call(target: Target, request: LoadRequest, inFlight: number): Promise<Cost> {
  const pid = target.pid as number
  const before = agentMs(pid)
  const pace = { kind: 'counted', inFlight, callsEach: FUNCTIONS / inFlight } as const
  const { seconds } = await runLoad({ ...request, target, pace }).result
  return { ms: seconds * 1000, cpuMs: agentMs(pid) - before }
}

async function proveLast(target: Target): Promise<void> {
  const { calls, close } = controlClient(target)
  try {
    const { output, error } = await calls.execute({ function_name: numberedId(NAME_PREFIX, FUNCTIONS - 1), args: [] })
    assert.deepEqual({ error, output: output.toString() }, { error: '', output: 'ok\n' }, target.label)
  } finally {
    close()
  }
}
