import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AdoptedProcesses } from '../../os/platform.js'
import { StoreUnavailable } from '../../store/store.js'
import type { AdoptTask, ToExecution } from '../../threads/messages.js'
import { queues, recorded, store } from '../thread.js'
import { Context, logPhase } from './context.js'
import { LiveOutput } from './live-output.js'
import { supervise } from './supervise.js'
import type { TaskChannel } from './task-channel.js'

const RETRY_MS = 500

/**
 * Takes over an execution that an earlier agent, or a worker that has died, has begun. Resolves once it is settled.
 * Until the store has said how much it has of the output, the process waits once its launcher can keep no more.
 */
export async function adopt(task: AdoptTask, processes: AdoptedProcesses, channel: TaskChannel): Promise<void> {
  const { process: number, keptFrom, note } = task
  const { record, versionDir, handler, maxOutputBytes } = note
  const id = record.execution_id
  const early: ToExecution[] = []
  channel.listener = {
    receive: (message) => {
      early.push(message)
      if (message.kind === 'kill') processes.kill(number, message.cause)
    },
  }
  recorded.add(id)
  try {
    const stored = await answerOf(() => store.record(id))
    if (stored && stored.status !== 'running' && stored.started_at === record.started_at) {
      await forget(number, keptFrom, processes)
      channel.send({ kind: 'ended', outcome: { kind: stored.status, record: stored, output: new Uint8Array() } })
      return
    }
    const storedBytes = await answerOf(() => store.outputLength(id))
    const from = Math.max(keptFrom, Math.min(storedBytes, maxOutputBytes))
    const safe = (bytes: number) => context.process?.release(bytes)
    const queue = queues.for(id)
    const output = new LiveOutput({ id, maxBytes: maxOutputBytes, queue, store, safe, from })
    const context = new Context(record, note, join(versionDir, handler), output, channel, queue)
    // Where the store has lost it, or has another's: then nothing more of this one is written.
    queue.push({ kind: 'begin', record })
    logPhase(record, 'taken over', {})
    const supervised = supervise(context, (listener) => processes.attach(number, from, listener))
    for (const message of early) context.receive(message)
    await supervised
    output.release()
  } finally {
    recorded.delete(id)
  }
}

/** Its end is recorded already, and only its launcher does not know. */
function forget(number: number, keptFrom: number, processes: AdoptedProcesses): Promise<void> {
  return new Promise((resolve) => {
    const process = processes.attach(number, keptFrom, {
      started: () => {},
      output: (chunk) => process.release(chunk.length),
      ended: () => {
        process.forget()
        resolve()
      },
    })
    process.kill('stopped')
  })
}

/** The store's answer, once it has one. */
async function answerOf<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      await sleep(RETRY_MS)
    }
  }
}
