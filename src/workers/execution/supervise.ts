import { setTimeout as sleep } from 'node:timers/promises'
import { platform } from '../../os/index.js'
import type { EndCause, ProcessEnd, ProcessListener, SupervisedProcess } from '../../os/platform.js'
import { endRecord } from '../../store/queue/end-record.js'
import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { ExecutionRecord } from '../../store/record.js'
import { figures, log, sandboxes } from '../thread.js'
import { Ending } from './ending.js'
import { type Bounds, endedRecord, outcomeKind, survivorsOf } from './outcome.js'
import { type Output, wholeOutput } from './output.js'
import { Readers } from './readers.js'
import type { TaskChannel } from './task-channel.js'

/** How long a snapshot of an execution that has just ended waits for its record to be durable. */
const SHOW_PATIENCE_MS = 1_000
/** Buffers of at least this size are cheaper to transfer than to copy. */
const TRANSFER_MIN_BYTES = 65_536
/** Signals that a damaged or foreign program dies of. */
const CRASHES: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGILL']

/** One execution on this worker. */
export class Context {
  readonly ending = new Ending()
  readonly readers: Readers
  /** As followers may see it: they are told an outcome only once it would survive this process. */
  shown: () => ExecutionRecord | Promise<ExecutionRecord>

  constructor(
    /** The record of its begin. */
    readonly begun: ExecutionRecord,
    readonly async: boolean,
    readonly bounds: Bounds,
    /** Absolute path. */
    readonly program: string,
    /** For its writes to the store. */
    readonly queue: WriteQueue,
    readonly output: Output,
    readonly channel: TaskChannel,
  ) {
    this.shown = () => begun
    this.readers = new Readers(channel.send, output, () => this.shown())
  }
}

/**
 * Supervises a process that `begin` starts, or takes over, until the execution is settled: the process group is dead, the
 * record is stored, and every follower has all of its output. Never rejects for anything that a function can cause.
 */
export async function supervise(
  context: Context,
  begin: (listener: ProcessListener) => SupervisedProcess,
): Promise<void> {
  const { channel, output, ending } = context
  if (ending.cause) {
    await settle(context, { kind: 'never started', durationMs: 0 })
    return
  }
  const { process, end } = await new Promise<{ process: SupervisedProcess; end: ProcessEnd }>((resolve) => {
    const process = begin({
      started: (pid) => {
        channel.send({ kind: 'started', pid })
        logPhase(context.begun, 'started', { pid })
      },
      output: (chunk) => {
        output.push(chunk)
        if (figures) figures.outputBytes += chunk.length
        // Of an async one it is, once it is in the store or on disk.
        if (!context.async) process.release(chunk.length)
      },
      ended: (end) => {
        ending.close()
        resolve({ process, end })
      },
    })
    ending.whenCaused((cause) => process.kill(cause))
  })
  await settle(context, end, () => process.forget())
}

export function logPhase(
  { function_name, execution_id }: ExecutionRecord,
  phase: 'accepted' | 'taken over' | 'started' | 'ended',
  more: object,
): void {
  if (log.isLevelEnabled('debug'))
    log.debug({ function: function_name, execution: execution_id, ...more }, `execution ${phase}`)
}

/** `recorded`: called once the end would survive this process. */
async function settle(context: Context, end: ProcessEnd, recorded?: () => void): Promise<void> {
  const { async, begun, bounds, output, readers } = context
  output.finish()
  const cause = causeOf(context, end)
  const reason = cause ? undefined : await crashReason(end, context.program)
  const record = endedRecord(begun, end, cause, bounds, output.length, { reason, room: sandboxes })
  logPhase(begun, 'ended', { status: record.status, duration_ms: record.duration_ms ?? 0 })
  logSurvivors(begun, end)
  const written = async ? endRecord(context.queue, record) : undefined
  context.shown = async () => (written && !(await soon(written.durable)) ? begun : record)
  await tellOutcome(context, record, end, cause)
  await written?.durable
  recorded?.()
  await Promise.all([written?.stored, readers.end(record)])
}

/** A process that ran knows itself what has ended it. */
function causeOf({ ending }: Context, end: ProcessEnd): EndCause | undefined {
  return end.kind === 'exited' || end.kind === 'killed' ? end.cause : (end.cause ?? ending.cause)
}

/** Why a program that the system started has crashed, as far as its file shows; looked for only after such a signal. */
async function crashReason(end: ProcessEnd, program: string): Promise<string | undefined> {
  return end.kind === 'killed' && CRASHES.includes(end.signal) ? platform.programProblem(program) : undefined
}

function logSurvivors({ function_name, execution_id }: ExecutionRecord, end: ProcessEnd): void {
  const survivors = survivorsOf(end)
  if (survivors)
    log.error({ function: function_name, execution: execution_id, ...survivors }, 'processes survive SIGKILL')
}

/** Whether `event` happens within SHOW_PATIENCE_MS. */
function soon(event: Promise<void>): Promise<boolean> {
  return Promise.race([event.then(() => true), sleep(SHOW_PATIENCE_MS, false, { ref: false })])
}

async function tellOutcome(
  { async, channel, output }: Context,
  record: ExecutionRecord,
  end: ProcessEnd,
  cause: EndCause | undefined,
): Promise<void> {
  const bytes = async ? new Uint8Array() : await wholeOutput(output)
  const transfer = bytes.length >= TRANSFER_MIN_BYTES ? [bytes.buffer as ArrayBuffer] : []
  const kind = outcomeKind(end, cause)
  const failedStep = kind === 'start_failed' && end.kind === 'not started' && { failedStep: end.step }
  const outcome = { kind, ...failedStep, record, output: bytes, ...(cause && { cause }) }
  channel.send({ kind: 'ended', outcome }, transfer)
}
