import { dirname, join } from 'node:path'
import type { StartRequest, SupervisedProcess } from '../../os/platform.js'
import type { ExecutionRecord } from '../../store/record.js'
import { encodeNote } from '../../threads/kept-note.js'
import type { ExecuteTask, LaunchSpec } from '../../threads/messages.js'
import { baseEnvironment, idLog, queues, recorded, settings, setup, starter, store } from '../thread.js'
import { listen } from './listen.js'
import { LiveOutput } from './live-output.js'
import { Output } from './output.js'
import { recordBegin } from './record-begin.js'
import { Context, logPhase, supervise } from './supervise.js'
import type { TaskChannel } from './task-channel.js'

/**
 * Runs one execution. Resolves once it is settled. Reports progress over the channel. Rejects only for a defect of the
 * agent.
 */
export async function execute(task: ExecuteTask, spec: LaunchSpec, channel: TaskChannel): Promise<void> {
  const { id, async } = task
  const { maxOutputBytes } = settings
  let process: SupervisedProcess | undefined
  const safe = (bytes: number) => process?.release(bytes)
  const queue = queues.for(id)
  const output = async
    ? new LiveOutput({ id, maxBytes: maxOutputBytes, queue, store, safe })
    : new Output(maxOutputBytes)
  const begun = begunRecord(task, spec)
  const context = new Context(begun, async, spec, join(spec.versionDir, spec.handler), queue, output, channel)
  const gate = new StartGate(task.hold)
  context.ending.whenCaused(() => gate.open())
  listen(context, () => gate.open())
  try {
    if (async) {
      const refusal = await recordBegin(queue, begun)
      if (refusal) {
        channel.send(refusal)
        return
      }
      recorded.add(id)
      await writeDown(task)
      channel.send({ kind: 'accepted' })
      logPhase(begun, 'accepted', { async })
      await gate.opened
    } else {
      logPhase(begun, 'accepted', { async })
      if (task.hold) await gate.opened
      await writeDown(task)
    }
    await supervise(context, (listener) => {
      process = starter.start(startRequest(task, spec, begun, maxOutputBytes), listener)
      return process
    })
  } finally {
    recorded.delete(id)
    if (output instanceof LiveOutput) output.release()
  }
}

function begunRecord({ id, functionName }: ExecuteTask, { warnings }: LaunchSpec): ExecutionRecord {
  return {
    execution_id: id,
    agent_id: setup.agentId,
    function_name: functionName,
    status: 'running',
    started_at: new Date().toISOString(),
    ...(warnings && { warnings }),
  }
}

/** Call before the process starts: the id is then known whatever becomes of this process. */
function writeDown({ idNumber }: ExecuteTask): Promise<void> | undefined {
  return idNumber === undefined ? undefined : idLog.add(idNumber)
}

/** Opens once the execution has a slot, or is ended. */
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

function startRequest(
  { id, args, variables, async, idNumber }: ExecuteTask,
  { functionName, versionDir, handler, env, limits, timeoutSeconds, runAs, sandboxed }: LaunchSpec,
  record: ExecutionRecord,
  maxOutputBytes: number,
): StartRequest {
  const file = join(versionDir, handler)
  const number = idNumber === undefined ? {} : { idNumber }
  const note = () =>
    encodeNote({ version: 1, record, versionDir, handler, timeoutSeconds, limits, maxOutputBytes, ...number })
  return {
    file,
    args,
    cwd: dirname(file),
    env: { ...baseEnvironment, ...env, ...variables, FLUX_EXECUTION_ID: id },
    ownTmpdir: !('TMPDIR' in env),
    ...(runAs && { runAs }),
    ...(sandboxed && { sandbox: functionName }),
    limits,
    timeoutMs: timeoutSeconds * 1000,
    ...(async && { note: note() }),
  }
}
