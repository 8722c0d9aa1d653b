import { setTimeout as sleep } from 'node:timers/promises'
import { noRedis } from '../../harness/redis.js'
import type { Bench } from '../bench.js'
import { controlClient, type Server } from '../measure/control.js'
import { Deaths } from '../measure/deaths.js'
import { deployFunction } from '../measure/deploy.js'
import { memoryOf } from '../measure/memory.js'
import { deployNative, PRINTER } from '../measure/native-function.js'
import { median } from '../measure/statistics.js'
import { Beside } from '../report/beside.js'
import type { Report } from '../report/report.js'
import type { AgentNeeds, StartedTarget, Targets } from '../targets/target.js'
import { measureAsync } from './async-executions.js'
import { CancelServer } from './cancel-server.js'
import { costsInTurns, measureCost } from './execution-costs.js'
import { measureFloor } from './floor.js'
import { comparedCosts, measureFunctions } from './functions.js'
import { IN_FLIGHT } from './in-flight-rounds.js'
import { languages } from './interpreters.js'
import { PLAIN } from './shapes.js'
import { deployProgram, syncExecutions, TRUE } from './throughput.js'

const ROUNDS = 5
const ROUND_MS = 2000
const FLOOR_MS = 1000
const COLD_CALLS = 600
const ASYNC_IN_FLIGHT = 64
const FUNCTIONS_IN_FLIGHT = 16
const CANCELS = 30
const REST_MS = 10_000
const STARTS = 5
/** As a node that Flux has set up: upstream's newest version has a store of its own. */
const NEEDS: AgentNeeds = { store: noRedis ? 'embedded' : 'redis' }

/** Cancelled functions tell their pids in the /tmp of all: separate ones have their own. */
const SHARED: AgentNeeds = { ...NEEDS, config: { functions: { isolation: 'shared' } } }

type Start = NonNullable<Targets['start']>
/** Measures some rows of the table. */
type Part = (beside: Beside, start: Start, report: Report) => Promise<void>

const PARTS: Readonly<Record<string, Part>> = {
  cold,
  sync: (beside, start, report) => withStarted(start, (servers) => sync(beside, servers, report)),
  async: (beside, start, report) => withStarted(start, (servers) => asynchronous(beside, servers, report)),
  interpreters: (beside, start, report) => withStarted(start, (servers) => interpreted(beside, servers, report)),
  output: (beside, start, report) => withStarted(start, (servers) => output(beside, servers, report)),
  cancel: (beside, start, report) => withStarted(start, (servers) => cancels(beside, servers, report), SHARED),
  rest: atRest,
  functions: async (beside, start, report) => {
    const measured = await measureFunctions(report, start, FUNCTIONS_IN_FLIGHT)
    beside.add('functions, ms', comparedCosts([...measured.values()]))
  },
}

export const UPSTREAM_PARTS = Object.keys(PARTS)

export const upstream: Bench = {
  name: 'upstream',
  about: 'the agent that this one takes over from beside this one, at everything that both do; needs --upstream',

  async run(report, { start, beside: isBeside }, { parts }) {
    if (!start || !isBeside) return report.skip('it needs --upstream FOLDER')
    const beside = new Beside(report)
    for (const [name, measure] of Object.entries(PARTS)) {
      if (parts.length === 0 || parts.includes(name)) await measure(beside, start, report)
    }
    beside.finish()
  },
}

async function withStarted(
  start: Start,
  use: (servers: readonly Server[]) => Promise<void>,
  needs = NEEDS,
): Promise<void> {
  const started = await start(needs)
  const servers = started.map(({ target }) => ({ target, ...controlClient(target) }))
  try {
    await use(servers)
  } finally {
    for (const server of servers) server.close()
    await closeAll(started)
  }
}

async function closeAll(started: readonly StartedTarget[]): Promise<void> {
  for (const each of started) await each.close()
}

/** The first calls of fresh agents. */
async function cold(beside: Beside, start: Start, report: Report): Promise<void> {
  const pace = { kind: 'counted', inFlight: 1, callsEach: COLD_CALLS } as const
  const rounds: Awaited<ReturnType<typeof measureCost>>[][] = []
  for (let round = 1; round <= ROUNDS; round++) {
    report.progress(`cold, round ${round} of ${ROUNDS}`)
    await withStarted(start, async (servers) => {
      for (const server of servers) await deployProgram(server, TRUE)
      for (const [i, server] of servers.entries()) {
        const cost = await measureCost(server, () => syncExecutions(server, TRUE, pace))
        rounds[i] = [...(rounds[i] ?? []), cost]
      }
    })
  }
  beside.addCosts(`sync, first ${COLD_CALLS}, 1 in flight`, rounds)
}

async function sync(beside: Beside, servers: readonly Server[], report: Report): Promise<void> {
  for (const server of servers) {
    await deployProgram(server, TRUE)
    for (const inFlight of [1, 64]) await syncExecutions(server, TRUE, closed(inFlight))
  }
  for (const inFlight of IN_FLIGHT) {
    const what = `sync, ${inFlight} in flight`
    const floors: number[] = []
    const rounds = await costsInTurns(
      servers,
      ROUNDS,
      async (round) => {
        report.progress(`${what}, round ${round} of ${ROUNDS}`)
        floors.push(await measureFloor(FLOOR_MS))
      },
      (server) => syncExecutions(server, TRUE, closed(inFlight)),
    )
    beside.addCosts(what, rounds, floors)
  }
}

async function asynchronous(beside: Beside, servers: readonly Server[], report: Report): Promise<void> {
  const called = { ...TRUE, name: 'bench-async' }
  for (const server of servers) {
    await deployProgram(server, called, ASYNC_IN_FLIGHT)
    await measureAsync(server, called.name)
  }
  const floors: number[] = []
  const rounds = await costsInTurns(
    servers,
    ROUNDS,
    async (round) => {
      report.progress(`async, round ${round} of ${ROUNDS}`)
      floors.push(await measureFloor(FLOOR_MS))
    },
    (server) => measureAsync(server, called.name),
  )
  beside.addCosts(`async, ${ASYNC_IN_FLIGHT} in flight`, rounds, floors)
}

async function interpreted(beside: Beside, servers: readonly Server[], report: Report): Promise<void> {
  for (const { name: language, zip, outputBytes } of languages(report)) {
    const name = `bench-${language.split(' ')[0]}`
    for (const server of servers) await deployFunction(server, { name, handler: 'main' }, zip)
    for (const inFlight of [1, 16]) {
      const rounds = await costsInTurns(
        servers,
        ROUNDS,
        (round) => report.progress(`${language}, ${inFlight} in flight, round ${round} of ${ROUNDS}`),
        (server) => syncExecutions(server, { name, outputBytes }, closed(inFlight)),
      )
      beside.addCosts(`sync, ${language}, ${inFlight} in flight`, rounds)
    }
  }
}

async function output(beside: Beside, servers: readonly Server[], report: Report): Promise<void> {
  for (const { calls } of servers) await deployNative(calls, PRINTER)
  for (const megabytes of [1, 10]) {
    const outputBytes = megabytes * 1_000_000
    const called = { name: PRINTER.name, args: [String(outputBytes)], outputBytes }
    const rounds = await costsInTurns(
      servers,
      ROUNDS,
      (round) => report.progress(`${megabytes} MB of output, round ${round} of ${ROUNDS}`),
      (server) => syncExecutions(server, called, closed(1)),
    )
    beside.addCosts(`sync, ${megabytes} MB of output, 1 in flight`, rounds)
  }
}

/** Of async executions: sync ones are not to be cancelled there. */
async function cancels(beside: Beside, servers: readonly Server[], report: Report): Promise<void> {
  const deaths = new Deaths()
  try {
    const opened = await Promise.all(servers.map((server) => CancelServer.open(server, deaths)))
    const measured = opened.map(() => ({ dead: [] as number[], answered: [] as number[] }))
    for (let round = 1; round <= ROUNDS; round++) {
      report.progress(`cancels, round ${round} of ${ROUNDS}`)
      for (const [i, server] of opened.entries()) {
        const ends = []
        for (let cancel = 0; cancel < CANCELS; cancel++) ends.push(await server.cancel(await server.run(PLAIN)))
        measured[i]?.dead.push(median(ends.map(({ dead }) => dead)))
        measured[i]?.answered.push(median(ends.map(({ answered }) => answered)))
      }
    }
    for (const server of opened) server.close()
    beside.add('cancel of one process, ms', [
      { name: 'dead', values: measured.map(({ dead }) => dead) },
      { name: 'answered', values: measured.map(({ answered }) => answered) },
    ])
  } finally {
    await deaths.close()
  }
}

/** Starts, and fresh agents that have done nothing. */
async function atRest(beside: Beside, start: Start, report: Report): Promise<void> {
  report.progress('at rest')
  const started = await start(NEEDS)
  try {
    const starts = started.map((): number[] => [])
    for (let round = 1; round <= STARTS; round++) {
      for (const [i, each] of started.entries()) starts[i]?.push(await each.restart())
    }
    beside.add('start to first answer', [{ name: 'ms', values: starts }])
    await sleep(REST_MS)
    const memory = started.map(({ target }) => memoryOf(target.pid as number))
    const figures = ['resident', 'own', 'proportional'] as const
    beside.add(
      'memory at rest, MiB',
      figures.map((name) => ({ name, values: memory.map((of) => [of[name]]) })),
    )
  } finally {
    await closeAll(started)
  }
}

function closed(inFlight: number) {
  return { kind: 'closed', inFlight, durationMs: ROUND_MS } as const
}
