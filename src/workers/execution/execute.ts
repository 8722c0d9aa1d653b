import type { ExecutionRecord } from '../../store/record.js'
import type { ExecuteTask } from '../../threads/messages.js'
import { idLog, queues, recorded, settings, setup, starter, store } from '../thread.js'
import { Context, logPhase } from './context.js'
import { type Launch, startRequest } from './launch.js'
import { LiveOutput } from './live-output.js'
import { Output } from './output.js'
import { recordBegin } from './record-begin.js'
import { supervise } from './supervise.js'
import type { TaskChannel } from './task-channel.js'

/**
 * Runs one execution. Resolves once it is settled. Reports progress over the channel. Rejects only for a defect of the
 * agent.
 */
export function execute(task: ExecuteTask, launch: Launch, channel: TaskChannel): Promise<void> {
  return task.async ? executeAsync(task, launch, channel) : executeSync(task, launch, channel)
}

async function executeSync(task: ExecuteTask, launch: Launch, channel: TaskChannel): Promise<void> {
  const { maxOutputBytes } = settings
  const begun = begunRecord(task, launch)
  const context = new Context(begun, launch.spec, launch.file, new Output(maxOutputBytes), channel)
  logPhase(begun, 'accepted', { async: false })
  if (task.hold) await slot(context)
  await writeDown(task)
  await supervise(context, (listener) => starter.start(startRequest(task, launch, begun, maxOutputBytes), listener))
}

async function executeAsync(task: ExecuteTask, launch: Launch, channel: TaskChannel): Promise<void> {
  const { id } = task
  const { maxOutputBytes } = settings
  const begun = begunRecord(task, launch)
  const queue = queues.for(id)
  const safe = (bytes: number) => context.process?.release(bytes)
  const output = new LiveOutput({ id, maxBytes: maxOutputBytes, queue, store, safe })
  const context = new Context(begun, launch.spec, launch.file, output, channel, queue)
  const hasSlot = task.hold ? slot(context) : undefined
  try {
    const refusal = await recordBegin(queue, begun)
    if (refusal) {
      channel.send(refusal)
      return
    }
    recorded.add(id)
    await writeDown(task)
    channel.send({ kind: 'accepted' })
    logPhase(begun, 'accepted', { async: true })
    await hasSlot
    await supervise(context, (listener) => starter.start(startRequest(task, launch, begun, maxOutputBytes), listener))
  } finally {
    recorded.delete(id)
    output.release()
  }
}

/** Resolves once the execution has a slot, or is ended. */
function slot(context: Context): Promise<void> {
  return new Promise((resolve) => {
    context.go = resolve
    context.ending.whenCaused(() => resolve())
  })
}

function begunRecord({ id, functionName }: ExecuteTask, { spec: { warnings } }: Launch): ExecutionRecord {
  const record: ExecutionRecord = {
    execution_id: id,
    agent_id: setup.agentId,
    function_name: functionName,
    status: 'running',
    started_at: new Date().toISOString(),
  }
  return warnings ? { ...record, warnings } : record
}

/** Call before the process starts: the id is then known whatever becomes of this process. */
function writeDown({ idNumber }: ExecuteTask): Promise<void> | undefined {
  return idNumber === undefined ? undefined : idLog.add(idNumber)
}
