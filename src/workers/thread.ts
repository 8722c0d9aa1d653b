import { join } from 'node:path'
import { threadId, workerData } from 'node:worker_threads'
import { IdLog } from '../ids/id-log.js'
import { createLog } from '../log/log.js'
import { platform } from '../os/index.js'
import { transactions } from '../store/embedded/under-way.js'
import { WriteQueues } from '../store/queue/write-queues.js'
import { RECORD_TTL_MS } from '../store/record.js'
import { logIdLogEvent, logQueueEvent } from '../threads/log-events.js'
import { IDS_DIR, type WorkerSettings, type WorkerSetup, WRITES_DIR } from '../threads/messages.js'
import { Figures } from './figures.js'
import { linkedStore } from './linked-store.js'

/** What all executions of one worker share. */

export const setup = workerData as WorkerSetup
export let { settings } = setup
// A thread that replaces a dead one starts with the main thread's priority.
platform.renice(setup.nice)
export const log = createLog(settings.logLevel, { worker: threadId })
export const store = linkedStore(setup.store)
process.once('uncaughtException', (error) => {
  log.fatal({ err: error }, 'an error ends a worker thread')
  // Not in the middle of a transaction: LMDB's thread would wait for its JavaScript, and this thread for that one.
  const done = transactions.underWay > 0 ? store.close() : Promise.resolve()
  void done.finally(() =>
    setImmediate(() => {
      // Without a handler it ends the thread, and the main thread hears of it.
      throw error
    }),
  )
})
/** Absent: nothing is counted. */
export const figures = setup.counts ? new Figures() : undefined
export const starter = platform.createStarter(setup.starter)
/** Absent: functions have none. */
export const sandboxes = setup.starter.kind === 'launcher' ? setup.starter.sandboxes : undefined
export const baseEnvironment = platform.baseEnvironment(setup.runAs)
/** Set by the main thread's channel: reports what the store refuses for good; undefined: it no longer does. */
export const storeRefusal = { report: (_refused: string | undefined): void => {} }

/** Why nodes of the store refuse writes for good. */
const refusals = new Map<string, string>()

export const queues = new WriteQueues({
  store,
  dir: join(setup.stateDir, WRITES_DIR),
  boundBytes: settings.backlogBytes,
  report: (event, node) => {
    logQueueEvent(log, store, event, node)
    if (event.kind === 'refused') refusals.set(node, event.cause.message)
    else if (event.kind !== 'back' || !refusals.delete(node)) return
    storeRefusal.report([...refusals.values()][0])
  },
  measured: figures && ((writes, ms) => figures.stored(writes, ms)),
})

export const idLog = new IdLog(join(setup.stateDir, IDS_DIR), (event) => logIdLogEvent(log, event))

/** Ids of the recorded executions that run on this thread: their leases are renewed. */
export const recorded = new Set<string>()

setInterval(() => {
  if (recorded.size === 0) return
  store
    .renewLeases([...recorded])
    .catch((error: Error) =>
      log.warn({ cause: error.message }, 'leases of running records are not renewed: they are tried again'),
    )
}, RECORD_TTL_MS / 4).unref()

/** Applies changed settings, for the executions that follow. */
export function configure(changed: WorkerSettings): void {
  settings = changed
  log.level = changed.logLevel
  queues.boundBytes = changed.backlogBytes
}

/** Puts unstored writes on disk for the next start. Call when no execution is left, or to hand over those that are. */
export async function closeThread(handOver: boolean): Promise<void> {
  await (handOver ? starter.handOver() : starter.close())
  void idLog.close()
  await queues.close().catch((error: Error) => log.error({ cause: error.message }, 'waiting writes are lost'))
  await store.close()
}
