import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { noRedis } from '../../harness/redis.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { deployFunction } from '../measure/deploy.js'
import { type Pace, runLoad } from '../measure/load.js'
import { numberedExecutions } from '../measure/requests.js'
import type { Report } from '../report/report.js'
import { measureAsync } from './async-executions.js'
import { IN_FLIGHT, measureRounds, type Throughput } from './in-flight-rounds.js'
import { measureSingleCalls } from './single-call.js'

const SYNC_ROUNDS = 5
const SYNC_MS = 2000
const ASYNC_ROUNDS = 5

/** A function, and the length of its output. */
interface Called {
  readonly name: string
  readonly args?: string[]
  readonly outputBytes: number
}

interface CalledProgram extends Called {
  readonly program: Buffer | string
}

// The floor's own program: a script would start two processes.
export const TRUE: CalledProgram = { name: 'bench-true', program: readFileSync('/bin/true'), outputBytes: 0 }
const KIB: CalledProgram = { name: 'bench-kib', program: `#!/bin/sh\necho ${'x'.repeat(1023)}\n`, outputBytes: 1024 }

export const throughput: Bench = {
  name: 'throughput',
  about: 'executions over gRPC, by how many are in flight: sync, and async to the end of their records',

  async run(report, targets) {
    await withServers(targets, { store: 'embedded' }, (servers) => measureSyncExecutions(report, servers))
    await withServers(targets, { store: noRedis ? 'embedded' : 'redis' }, (servers) => {
      return measureAsyncExecutions(report, servers)
    })
  },
}

async function measureSyncExecutions(report: Report, servers: readonly Server[]): Promise<void> {
  for (const server of servers) {
    for (const called of [TRUE, KIB]) await deployProgram(server, called)
    for (const inFlight of [1, 64]) await measureSync(server, TRUE, inFlight)
  }
  await measureSingleCalls(report, servers, TRUE.name)
  for (const called of [TRUE, KIB]) {
    await measureRounds(
      report,
      { what: `sync, ${called.outputBytes} bytes of output`, until: 'the answer' },
      servers,
      SYNC_ROUNDS,
      (server, inFlight) => measureSync(server, called, inFlight),
    )
  }
}

function measureSync(server: Server, called: Called, inFlight: number): Promise<Throughput> {
  return syncExecutions(server, called, { kind: 'closed', inFlight, durationMs: SYNC_MS })
}

/** With ids, as from the control plane. */
export async function syncExecutions(
  { target }: Server,
  { name, args = [], outputBytes }: Called,
  pace: Pace,
): Promise<Throughput> {
  const call = numberedExecutions({ function_name: name, args }, `bench-${randomUUID()}-`)
  const result = await runLoad({ ...call, target, outputBytes, pace }).result
  return { ...result, executions: result.calls }
}

async function measureAsyncExecutions(report: Report, servers: readonly Server[]): Promise<void> {
  const nameOf = (inFlight: number) => `bench-async-${inFlight}`
  for (const server of servers) {
    for (const inFlight of IN_FLIGHT) await deployProgram(server, { ...TRUE, name: nameOf(inFlight) }, inFlight)
    await measureAsync(server, nameOf(16))
  }
  const inRedis = servers.every(({ target }) => target.redisPort !== undefined)
  const what = `async, until every record ${inRedis ? 'in Redis' : 'by GetExecution'} tells success`
  await measureRounds(report, { what, until: 'being accepted' }, servers, ASYNC_ROUNDS, (server, inFlight) =>
    measureAsync(server, nameOf(inFlight)),
  )
}

/** `maxConcurrency`: 0 is unlimited. */
export async function deployProgram(
  server: Server,
  { name, program }: Pick<CalledProgram, 'name' | 'program'>,
  maxConcurrency = 0,
): Promise<void> {
  const archive = buildZip([{ name: 'main', contents: program, mode: PROGRAM }])
  const limits = { max_concurrency: maxConcurrency, max_concurrency_behavior: 'wait' }
  await deployFunction(server, { name, handler: 'main', ...limits }, archive)
}
