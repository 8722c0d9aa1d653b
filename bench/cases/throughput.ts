import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { noRedis } from '../../harness/redis.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { runLoad } from '../measure/load.js'
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
  readonly program: Buffer | string
  readonly outputBytes: number
}

// The floor's own program: a script would start two processes.
const TRUE: Called = { name: 'bench-true', program: readFileSync('/bin/true'), outputBytes: 0 }
const KIB: Called = { name: 'bench-kib', program: `#!/bin/sh\necho ${'x'.repeat(1023)}\n`, outputBytes: 1024 }

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
    for (const called of [TRUE, KIB]) await deploy(server, called.name, called.program)
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

async function measureSync({ target }: Server, { name, outputBytes }: Called, inFlight: number): Promise<Throughput> {
  const pace = { kind: 'closed', inFlight, durationMs: SYNC_MS } as const
  // With ids, as from the control plane.
  const call = numberedExecutions({ function_name: name }, `bench-${randomUUID()}-`)
  const result = await runLoad({ ...call, target, outputBytes, pace }).result
  return { ...result, executions: result.calls }
}

async function measureAsyncExecutions(report: Report, servers: readonly Server[]): Promise<void> {
  const nameOf = (inFlight: number) => `bench-async-${inFlight}`
  for (const server of servers) {
    for (const inFlight of IN_FLIGHT) await deploy(server, nameOf(inFlight), TRUE.program, inFlight)
    await measureAsync(server, nameOf(16))
  }
  const inRedis = servers.every(({ target }) => target.redisPort !== undefined)
  const what = `async, until every record ${inRedis ? 'in Redis' : 'by GetExecution'} tells success`
  await measureRounds(report, { what, until: 'being accepted' }, servers, ASYNC_ROUNDS, (server, inFlight) =>
    measureAsync(server, nameOf(inFlight)),
  )
}

async function deploy(
  { calls, target }: Server,
  name: string,
  program: Buffer | string,
  maxConcurrency = 0,
): Promise<void> {
  const archive = buildZip([{ name: 'main', contents: program, mode: PROGRAM }])
  const limits = { max_concurrency: maxConcurrency, max_concurrency_behavior: 'wait' }
  const { success, message } = await calls.deploy(name, archive, { name, handler: 'main', ...limits })
  if (!success) throw new Error(`${target.label} does not deploy ${name}: ${message}`)
}
