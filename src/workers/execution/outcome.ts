import type { EndCause, Limits, OutOfMemory, ProcessEnd, ProcessFacts, Survivors } from '../../os/platform.js'
import type { ExecutionRecord, ExecutionStatus } from '../../store/record.js'
import type { OutcomeKind } from '../../threads/messages.js'
import { type RoomBounds, usedUpSentences } from './used-up.js'

/** The limits that an execution ran under. */
export interface Bounds {
  readonly timeoutSeconds: number
  readonly limits: Limits
}

/** What else bears on the error of a process that has failed. */
export interface Circumstances {
  /** Why it crashed, where that is known. */
  readonly reason?: string | undefined
  /** What its function may keep, where that is bounded. */
  readonly room?: RoomBounds | undefined
}

/** The final record. Status and error follow from the cause that won, or else from how the process ended. */
export function endedRecord(
  running: ExecutionRecord,
  result: ProcessEnd,
  cause: EndCause | undefined,
  bounds: Bounds,
  outputBytes: number,
  { reason, room }: Circumstances = {},
): ExecutionRecord {
  const [status, verdict] = cause ? causeVerdict(cause, bounds.timeoutSeconds) : resultVerdict(result, bounds.limits)
  // Not a copy with what comes after it: that takes V8 (up to Node 20 at least) a hundred times as long.
  const record: Changing<ExecutionRecord> = {
    execution_id: running.execution_id,
    agent_id: running.agent_id,
    function_name: running.function_name,
    status,
    started_at: running.started_at,
    status_at: new Date().toISOString(),
    output_bytes: outputBytes,
  }
  if (running.warnings) record.warnings = running.warnings
  const usedUp = cause ? [] : usedUpSentences(running.function_name, result, room)
  const error = verdict === '' ? verdict : [reason ? `${verdict}: ${reason}` : verdict, ...usedUp].join('; ')
  if (error !== '') record.error = error
  const durationMs = Math.round(result.durationMs)
  if (durationMs > 0) record.duration_ms = durationMs
  if (result.kind === 'exited') record.exit_code = result.code
  if (result.kind === 'killed') record.signal = result.signal
  if (result.kind === 'exited' || result.kind === 'killed') addFacts(record, result)
  const survivors = survivorsOf(result)
  if (survivors) {
    record.survivors = survivors.count
    record.survivor_pids = survivors.pids
  }
  return record
}

type Changing<T> = { -readonly [Key in keyof T]: T[Key] }

function addFacts(record: Changing<ExecutionRecord>, { use, outOfMemory, oomKills }: ProcessFacts): void {
  if (use) {
    record.cpu_ms = use.cpuMs
    record.max_rss_kb = use.maxRssKb
  }
  if (outOfMemory) record.oom_killed = true
  if (oomKills) record.oom_kills = oomKills
}

/** The same in one word. */
export function outcomeKind(result: ProcessEnd, cause: EndCause | undefined): OutcomeKind {
  if (cause) return cause === 'hangup' ? 'cancelled' : cause
  switch (result.kind) {
    case 'exited':
      return result.code === 0 ? 'success' : 'failed'
    case 'killed':
      return killedForMemory(result) ? 'oom' : 'failed'
    case 'not started':
      return 'start_failed'
    case 'never started':
      return 'cancelled'
    case 'lost':
      return 'lost'
  }
}

/** Processes that SIGKILL did not end. */
export function survivorsOf(result: ProcessEnd): Survivors | undefined {
  return result.kind === 'lost' ? undefined : result.survivors
}

function causeVerdict(cause: EndCause, timeoutSeconds: number): [ExecutionStatus, string] {
  switch (cause) {
    case 'cancelled':
    case 'hangup':
      return ['cancelled', 'execution cancelled']
    case 'timeout':
      return ['failed', `execution timed out after ${timeoutSeconds}s`]
    case 'stopped':
      return ['failed', 'agent stopped']
  }
}

function resultVerdict(result: ProcessEnd, { memoryMb }: Limits): [ExecutionStatus, string] {
  switch (result.kind) {
    case 'exited':
      return result.code === 0 ? ['success', ''] : ['failed', `exit code ${result.code}`]
    case 'killed': {
      const who = killedForMemory(result)
      return ['failed', who ? outOfMemoryError(who, memoryMb) : `killed by ${result.signal}`]
    }
    case 'lost':
    case 'not started':
      return ['failed', result.error]
    case 'never started':
      return ['cancelled', 'execution cancelled']
  }
}

/** With oom_kill: process, the leader may have ended for another reason. */
function killedForMemory({ outOfMemory, signal }: ProcessFacts & { readonly signal: string }): OutOfMemory | undefined {
  return signal === 'SIGKILL' ? outOfMemory : undefined
}

function outOfMemoryError(who: OutOfMemory, memoryMb: number): string {
  switch (who) {
    case 'own limit':
      return `out of memory: exceeded ${memoryMb} MB`
    case 'limit above':
      return (
        'out of memory: killed by a limit on a cgroup above, such as that for all executions together, ' +
        "not by the function's own"
      )
    case 'node':
      return "out of memory: killed because the node ran out, not by the function's own limit"
  }
}
