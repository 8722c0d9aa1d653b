import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionRecord } from '../../src/store/record.js'
import type { Server } from '../measure/control.js'
import { runLoad } from '../measure/load.js'
import { type Records, recordsOf } from '../measure/records.js'
import { numberedExecutions, numberedId } from '../measure/requests.js'
import type { Throughput } from './in-flight-rounds.js'

/** Below the default of `max_queued`, so that nothing is refused. */
const EXECUTIONS = 960
const CALLS_IN_FLIGHT = 16
const LOOKED_AT_ONCE = 128
const POLL_MS = 5
const LIMIT_MS = 120_000

/**
 * Starts async executions as fast as they are accepted, and waits until the records of all say that they succeeded.
 * Latencies are those of acceptance. Accurate to `POLL_MS` plus one look.
 */
export async function measureAsync(server: Server, functionName: string): Promise<Throughput> {
  const idPrefix = `${randomUUID()}-`
  const accepted = await runLoad({
    ...numberedExecutions({ function_name: functionName, async: true }, idPrefix),
    target: server.target,
    outputBytes: 0,
    repeatRefused: true,
    pace: { kind: 'counted', inFlight: CALLS_IN_FLIGHT, callsEach: EXECUTIONS / CALLS_IN_FLIGHT },
  }).result
  const ids = Array.from({ length: EXECUTIONS }, (_, i) => numberedId(idPrefix, i))
  const records = recordsOf(server)
  try {
    const waited = await untilAllSucceeded(records, ids)
    return { ...accepted, executions: EXECUTIONS, seconds: accepted.seconds + waited / 1000 }
  } finally {
    records.close()
  }
}

/** Milliseconds until the last one was seen to have ended, without the time to read records of earlier ones. */
async function untilAllSucceeded(records: Records, ids: readonly string[]): Promise<number> {
  const begun = performance.now()
  let ended = begun
  const left = [...ids]
  // The last one first, and alone, to keep the server idle while it runs.
  let count = 1
  while (left.length > 0) {
    const looked = left.splice(-count)
    const found = await records.read(looked)
    const running = looked.filter((id, i) => !hasSucceeded(id, found[i]))
    left.push(...running)
    count = running.length > 0 ? 1 : LOOKED_AT_ONCE
    if (running.length === 0) continue
    await sleep(POLL_MS)
    ended = performance.now()
    if (ended - begun > LIMIT_MS) throw new Error(`no record of ${running.length} executions says that they have ended`)
  }
  return ended - begun
}

/** False where it has not ended, or has no record. */
function hasSucceeded(id: string, record: ExecutionRecord | undefined): boolean {
  if (record === undefined || record.status === 'running') return false
  if (record.status === 'success') return true
  throw new Error(`execution ${id} has ${record.status}: ${record.error}`)
}
