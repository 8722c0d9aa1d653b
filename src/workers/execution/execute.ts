import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { platform } from '../../os/index.js'
import type { ProcessEnd, StartRequest } from '../../os/platform.js'
import { endRecord } from '../../store/queue/end-record.js'
import type { ExecutionRecord } from '../../store/record.js'
import type { ExecuteTask, LaunchSpec, ToExecution } from '../../threads/messages.js'
import { LongTimer } from '../../time/long-timer.js'
import { baseEnvironment, idLog, log, queue, recorded, settings, setup, starter, store } from '../thread.js'
import { Ending } from './ending.js'
import { LiveOutput } from './live-output.js'
import { endedRecord, type ProcessResult, survivorsOf } from './outcome.js'
import { Output, wholeOutput } from './output.js'
import { Readers } from './readers.js'
import { recordBegin } from './record-begin.js'
import type { TaskChannel } from './task-channel.js'

/** How long a snapshot of an execution that has just ended waits for its record to be durable. */
const SHOW_PATIENCE_MS = 1_000
/** Buffers of at least this size are cheaper to transfer than to copy. */
const TRANSFER_MIN_BYTES = 65_536
/** Signals that a damaged or foreign program dies of. */
const CRASHES: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGILL']

/** The parts of one execution. */
interface Context {
  readonly task: ExecuteTask
  readonly spec: LaunchSpec
  readonly channel: TaskChannel
  readonly output: Output
  readonly ending: Ending
}

/**
 * Runs one execution. Resolves once it is settled: the process group is dead, the record is stored, and every follower
 * has all of its output. Reports progress over the channel. Rejects only for a defect of the agent.
 */
export async function execute(task: ExecuteTask, spec: LaunchSpec, channel: TaskChannel): Promise<void> {
  const output = task.async
    ? new LiveOutput(task.id, settings.maxOutputBytes, queue, store)
    : new Output(settings.maxOutputBytes)
  const context: Context = { task, spec, channel, output, ending: new Ending() }
  const begun = begunRecord(context)
  // Followers are told the outcome only once it would survive this process, so that it is never taken back.
  let shown: () => ExecutionRecord | Promise<ExecutionRecord> = () => begun
  const readers = new Readers(channel.send, output, () => shown())
  const gate = listen(context, readers)
  try {
    if (task.async) {
      const refusal = await recordBegin(begun)
      if (refusal) {
        channel.send(refusal)
        return
      }
      recorded.add(task.id)
      await writeDown(task)
      channel.send({ kind: 'accepted' })
      logPhase(task, 'accepted', { async: true })
      await gate.opened
    } else {
      logPhase(task, 'accepted', { async: false })
      if (task.hold) await gate.opened
      await writeDown(task)
    }

    const result = await runProcess(context)
    output.finish()
    const { cause } = context.ending
    const reason = cause ? undefined : await crashReason(result, spec)
    const record = endedRecord(begun, result, cause, spec, output.length, reason)
    logPhase(task, 'ended', { status: record.status, duration_ms: record.duration_ms ?? 0 })
    logSurvivors(task, result)
    const end = task.async ? endRecord(queue, record) : undefined
    shown = async () => (end && !(await soon(end.durable)) ? begun : record)
    await tellOutcome(context, record)
    await end?.durable
    await Promise.all([end?.stored, readers.end(record)])
  } finally {
    recorded.delete(task.id)
    if (output instanceof LiveOutput) output.release()
  }
}

function begunRecord({ task, spec }: Context): ExecutionRecord {
  return {
    execution_id: task.id,
    agent_id: setup.agentId,
    function_name: task.functionName,
    status: 'running',
    started_at: new Date().toISOString(),
    ...(spec.warnings && { warnings: spec.warnings }),
  }
}

/** Handles messages of the main thread from now on. */
function listen({ task, channel, ending }: Context, readers: Readers): StartGate {
  const gate = new StartGate(task.hold)
  ending.whenCaused(() => gate.open())
  channel.receive = (message: ToExecution) => {
    switch (message.kind) {
      case 'go':
        gate.open()
        break
      case 'kill':
        ending.end(message.cause)
        break
      case 'snapshot':
        void readers.snapshot(message.request)
        break
      case 'read':
        void readers.read(message.request, message.offset)
        break
      case 'unfollow':
        readers.leave(message.request)
        break
    }
  }
  return gate
}

/** Call before the process starts: the id is then known whatever becomes of this process. */
function writeDown({ idNumber }: ExecuteTask): Promise<void> | undefined {
  return idNumber === undefined ? undefined : idLog.add(idNumber)
}

/** Opens once the execution has a slot. */
class StartGate {
  open: () => void = () => {}
  readonly opened: Promise<void> | undefined

  constructor(hold: boolean) {
    if (!hold) return
    this.opened = new Promise((resolve) => {
      this.open = resolve
    })
  }
}

/** Starts the process and supervises it to its end. Never rejects for anything that a function can cause. */
async function runProcess({ task, spec, channel, output, ending }: Context): Promise<ProcessResult> {
  if (ending.cause) return { kind: 'never started', durationMs: 0 }
  const begun = performance.now()
  let timer: LongTimer | undefined
  const end = await new Promise<ProcessEnd>((resolve) => {
    const process = starter.start(startRequest(task, spec), {
      started: (pid) => {
        channel.send({ kind: 'started', pid })
        logPhase(task, 'started', { pid })
        const { timeoutSeconds } = spec
        if (timeoutSeconds > 0) timer = new LongTimer(timeoutSeconds * 1000, () => ending.end('timeout'))
      },
      output: (chunk) => output.push(chunk),
      ended: (how) => {
        ending.close()
        resolve(how)
      },
    })
    if (output instanceof LiveOutput) output.throttle(process)
    ending.whenCaused(() => process.kill())
  })
  timer?.clear()
  const ran = end.kind !== 'not started' && end.kind !== 'never started'
  return { ...end, durationMs: ran ? performance.now() - begun : 0 }
}

function startRequest({ id, args }: ExecuteTask, { versionDir, handler, env, limits }: LaunchSpec): StartRequest {
  const file = join(versionDir, handler)
  return {
    file,
    args,
    cwd: dirname(file),
    env: { ...baseEnvironment, ...env, FLUX_EXECUTION_ID: id },
    ownTmpdir: !('TMPDIR' in env),
    ...(setup.runAs && { runAs: setup.runAs }),
    limits,
  }
}

/** Why a program that the system started has crashed, as far as its file shows; looked for only after such a signal. */
async function crashReason(result: ProcessResult, { versionDir, handler }: LaunchSpec): Promise<string | undefined> {
  const crashed = result.kind === 'killed' && CRASHES.includes(result.signal)
  return crashed ? platform.programProblem(join(versionDir, handler)) : undefined
}

function logPhase({ functionName, id }: ExecuteTask, phase: 'accepted' | 'started' | 'ended', more: object): void {
  if (log.isLevelEnabled('debug')) log.debug({ function: functionName, execution: id, ...more }, `execution ${phase}`)
}

function logSurvivors({ functionName, id }: ExecuteTask, result: ProcessResult): void {
  const survivors = survivorsOf(result)
  if (survivors) log.error({ function: functionName, execution: id, ...survivors }, 'processes survive SIGKILL')
}

/** Whether `event` happens within SHOW_PATIENCE_MS. */
function soon(event: Promise<void>): Promise<boolean> {
  return Promise.race([event.then(() => true), sleep(SHOW_PATIENCE_MS, false, { ref: false })])
}

async function tellOutcome({ task, channel, output, ending }: Context, record: ExecutionRecord): Promise<void> {
  const bytes = task.async ? new Uint8Array() : await wholeOutput(output)
  const transfer = bytes.length >= TRANSFER_MIN_BYTES ? [bytes.buffer as ArrayBuffer] : []
  const outcome = { record, output: bytes, ...(ending.cause && { cause: ending.cause }) }
  channel.send({ kind: 'ended', outcome }, transfer)
}
