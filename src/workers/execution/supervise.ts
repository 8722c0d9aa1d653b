import { platform } from '../../os/index.js'
import type { EndCause, ProcessEnd, ProcessListener, SupervisedProcess } from '../../os/platform.js'
import { endRecord } from '../../store/queue/end-record.js'
import type { ExecutionRecord } from '../../store/record.js'
import type { Outcome } from '../../threads/messages.js'
import { log, sandboxes } from '../thread.js'
import { type Context, logPhase } from './context.js'
import { endedRecord, outcomeKind, survivorsOf } from './outcome.js'
import { wholeOutput } from './output.js'

/** Buffers of at least this size are cheaper to transfer than to copy. */
const TRANSFER_MIN_BYTES = 65_536
/** Signals that a damaged or foreign program dies of. */
const CRASHES: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGILL']

const NOTHING = new Uint8Array()

/**
 * Supervises a process that `begin` starts, or takes over, until the execution is settled: the process group is dead, the
 * record is stored, and every follower has all of its output. Never rejects for anything that a function can cause.
 */
export async function supervise(
  context: Context,
  begin: (listener: ProcessListener) => SupervisedProcess,
): Promise<void> {
  const { begun, printed, queue } = context
  const end: ProcessEnd = context.ending.cause ? { kind: 'never started', durationMs: 0 } : await context.run(begin)
  printed.finish()
  const cause = causeOf(context, end)
  const reason = isCrash(end, cause) ? await platform.programProblem(context.program) : undefined
  const record = endedRecord(begun, end, cause, context.bounds, printed.length, { reason, room: sandboxes })
  logPhase(begun, 'ended', { status: record.status, duration_ms: record.duration_ms ?? 0 })
  logSurvivors(begun, end)
  const written = queue && endRecord(queue, record)
  context.conclude({ record, written })
  // That of an async one is in the store.
  const output = queue || printed.length === 0 ? NOTHING : await wholeOutput(printed)
  const transfer = output.length >= TRANSFER_MIN_BYTES ? [output.buffer as ArrayBuffer] : undefined
  context.channel.send({ kind: 'ended', outcome: outcomeOf(record, output, end, cause) }, transfer)
  if (!written) return context.finishReaders()
  await written.durable
  context.process?.forget()
  await Promise.all([written.stored, context.finishReaders()])
}

/** A process that ran knows itself what has ended it. */
function causeOf({ ending }: Context, end: ProcessEnd): EndCause | undefined {
  return end.kind === 'exited' || end.kind === 'killed' ? end.cause : (end.cause ?? ending.cause)
}

/** Whether the program itself may show why it has ended so. */
function isCrash(end: ProcessEnd, cause: EndCause | undefined): boolean {
  return cause === undefined && end.kind === 'killed' && CRASHES.includes(end.signal)
}

function logSurvivors({ function_name, execution_id }: ExecutionRecord, end: ProcessEnd): void {
  const survivors = survivorsOf(end)
  if (survivors)
    log.error({ function: function_name, execution: execution_id, ...survivors }, 'processes survive SIGKILL')
}

function outcomeOf(record: ExecutionRecord, output: Uint8Array, end: ProcessEnd, cause: EndCause | undefined): Outcome {
  const kind = outcomeKind(end, cause)
  const failedStep = kind === 'start_failed' && end.kind === 'not started' && { failedStep: end.step }
  return { kind, record, output, ...failedStep, ...(cause && { cause }) }
}
