import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { platform } from '../../os/index.js'
import type { ProcessEnd, StartRequest } from '../../os/platform.js'
import type { PendingWrite } from '../../store/queue/pending.js'
import type { ExecutionRecord } from '../../store/record.js'
import type { ExecuteTask, Program, ToExecution } from '../../threads/messages.js'
import { LongTimer } from '../../time/long-timer.js'
import { baseEnvironment, journal, log, queue, recorded, settings, setup, starter, store } from '../thread.js'
import { Ending } from './ending.js'
import { LiveOutput } from './live-output.js'
import { endedRecord, type ProcessResult, survivorsOf } from './outcome.js'
import { Output, wholeOutput } from './output.js'
import { Readers } from './readers.js'
import { recordBegin } from './reservation.js'
import type { TaskChannel } from './task-channel.js'

/** How long a look at an execution that has just ended waits for the outcome to be kept. */
const SHOW_PATIENCE_MS = 1_000
/** From this size on, handing a buffer over costs less than copying it. */
const TRANSFER_MIN_BYTES = 65_536
/** What a program gets for code or data of its own that is not there. */
const CRASHES: readonly string[] = ['SIGSEGV', 'SIGBUS', 'SIGILL']

/**
 * One execution's whole life. Settles when nothing of it is left to do: the process group is dead, the record is
 * stored, and whoever followed its output has all of it. What happens on the way is told over the channel.
 */
export async function execute(task: ExecuteTask, program: Program, channel: TaskChannel): Promise<void> {
  const output = task.async
    ? new LiveOutput(task.id, settings.maxOutputBytes, queue, store)
    : new Output(settings.maxOutputBytes)
  const begun: ExecutionRecord = {
    execution_id: task.id,
    agent_id: setup.agentId,
    function_name: task.functionName,
    status: 'running',
    started_at: new Date().toISOString(),
    ...(program.warnings && { warnings: program.warnings }),
  }
  // The outcome is not shown before it would survive this process: what was told once is never taken back.
  let shown: () => ExecutionRecord | Promise<ExecutionRecord> = () => begun
  const ending = new Ending()
  const slot = new Slot(task.hold)
  ending.whenCaused(() => slot.give())
  const readers = new Readers(channel.tell, output, () => shown())
  channel.hear = (message: ToExecution) => {
    switch (message.kind) {
      case 'go':
        slot.give()
        break
      case 'end':
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

  try {
    if (task.async) {
      const reservation = await recordBegin(begun)
      if (reservation.kind === 'refused') {
        channel.tell(reservation)
        return
      }
      recorded.add(task.id)
      await writeDown(task)
      channel.tell({ kind: 'accepted' })
      await slot.given
    } else {
      if (task.hold) await slot.given
      await writeDown(task)
    }

    const result = await runProcess(task, program, channel, output, ending)
    output.finish()
    const reason = ending.cause ? undefined : await crashReason(result, program)
    const record = endedRecord(begun, result, ending.cause, program, output.length, reason)
    const survivors = survivorsOf(result)
    if (survivors) {
      const { functionName, id } = task
      log.error({ function: functionName, execution: id, ...survivors }, 'processes survive SIGKILL')
    }
    const end = task.async ? storeEnd(record) : undefined
    shown = async () => (end && !(await soon(end.kept)) ? begun : record)
    await tellOutcome(task, channel, record, ending, output)
    await end?.kept
    await Promise.all([end?.stored, readers.end(record)])
  } finally {
    recorded.delete(task.id)
    if (output instanceof LiveOutput) output.release()
  }
}

/** Before anything of it runs: whatever becomes of this process, its id is known. */
function writeDown({ idNumber }: ExecuteTask): Promise<void> | undefined {
  return idNumber === undefined ? undefined : journal.add(idNumber)
}

/** A place to run in, which may have to be waited for. */
class Slot {
  give: () => void = () => {}
  readonly given: Promise<void> | undefined

  constructor(hold: boolean) {
    if (!hold) return
    this.given = new Promise((resolve) => {
      this.give = resolve
    })
  }
}

/** Starts the process and supervises it to its end. Never rejects for anything that a function can bring about. */
async function runProcess(
  task: ExecuteTask,
  program: Program,
  channel: TaskChannel,
  output: Output,
  ending: Ending,
): Promise<ProcessResult> {
  if (ending.cause) return { kind: 'never started', durationMs: 0 }
  const { versionDir, handler, env, timeoutSeconds, limits } = program
  const file = join(versionDir, handler)
  const request: StartRequest = {
    file,
    args: task.args,
    cwd: dirname(file),
    env: { ...baseEnvironment, ...env, FLUX_EXECUTION_ID: task.id },
    ownTmpdir: !('TMPDIR' in env),
    ...(setup.runAs && { runAs: setup.runAs }),
    limits,
  }
  const begun = performance.now()
  let timer: LongTimer | undefined
  const end = await new Promise<ProcessEnd>((resolve) => {
    const process = starter.start(request, {
      started: (pid) => {
        channel.tell({ kind: 'started', pid })
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

/** Why a program that the system starts has crashed, where its file tells: looked for only then. */
async function crashReason(result: ProcessResult, { versionDir, handler }: Program): Promise<string | undefined> {
  const crashed = result.kind === 'killed' && CRASHES.includes(result.signal)
  return crashed ? platform.programProblem(join(versionDir, handler)) : undefined
}

/** `kept`: in the store or on disk, so that it outlives this process. `stored`: in the store. */
function storeEnd(record: ExecutionRecord): { readonly kept: Promise<void>; readonly stored: Promise<void> } {
  let keep: () => void = () => {}
  const kept = new Promise<void>((resolve) => {
    keep = resolve
  })
  const stored = new Promise<void>((resolve) => {
    const push = () => {
      // Damaged on disk, it is pushed again.
      const end = queue.push({ kind: 'end', record }, (bytes) => (bytes ? resolve() : push()))
      void untilKept(end).then(keep)
    }
    push()
  })
  return { kept, stored }
}

async function untilKept(write: PendingWrite): Promise<void> {
  while (!(await write.kept()));
}

/** Whether it comes to pass within the patience of somebody who looks at an execution. */
function soon(event: Promise<void>): Promise<boolean> {
  return Promise.race([event.then(() => true), sleep(SHOW_PATIENCE_MS, false, { ref: false })])
}

async function tellOutcome(
  task: ExecuteTask,
  channel: TaskChannel,
  record: ExecutionRecord,
  ending: Ending,
  output: Output,
): Promise<void> {
  const bytes = task.async ? new Uint8Array() : await wholeOutput(output)
  const transfer = bytes.length >= TRANSFER_MIN_BYTES ? [bytes.buffer as ArrayBuffer] : []
  const outcome = { record, output: bytes, ...(ending.cause && { cause: ending.cause }) }
  channel.tell({ kind: 'ended', outcome }, transfer)
}
