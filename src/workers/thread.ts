import { join } from 'node:path'
import { threadId, workerData } from 'node:worker_threads'
import { IdLog } from '../ids/id-log.js'
import { createLog } from '../log/log.js'
import { platform } from '../os/index.js'
import { openStore } from '../store/open.js'
import { WriteQueue } from '../store/queue/write-queue.js'
import { RECORD_TTL_MS } from '../store/record.js'
import { logIdLogEvent, logQueueEvent } from '../threads/log-events.js'
import { IDS_DIR, type WorkerSettings, type WorkerSetup, WRITES_DIR } from '../threads/messages.js'

/** What all executions of one worker thread share. */

export const setup = workerData as WorkerSetup
export let { settings } = setup
// One that replaces another has that of the main thread.
platform.renice(setup.nice)
export const log = createLog(settings.logLevel, { worker: threadId })
export const store = await openStore(setup.store)
export const starter = platform.createStarter(setup.starter)
export const baseEnvironment = platform.baseEnvironment(setup.runAs)
/** Hears what the store refuses for good; undefined: nothing any more. */
export const storeRefusal = { report: (_refused: string | undefined): void => {} }

export const queue = new WriteQueue({
  store,
  dir: join(setup.stateDir, WRITES_DIR),
  boundBytes: settings.backlogBytes,
  report: (event) => {
    logQueueEvent(log, store, event)
    if (event.kind === 'refused') storeRefusal.report(event.cause.message)
    else if (event.kind === 'back') storeRefusal.report(undefined)
  },
})

export const idLog = new IdLog(join(setup.stateDir, IDS_DIR), (event) => logIdLogEvent(log, event))

/** Ids of the recorded executions that run on this thread. */
export const recorded = new Set<string>()

setInterval(() => {
  if (recorded.size === 0) return
  store.renewLeases([...recorded]).catch((error: Error) => log.warn(`leases not renewed: ${error.message}`))
}, RECORD_TTL_MS / 4).unref()

/** Takes on other settings for the executions that come. */
export function configure(changed: WorkerSettings): void {
  settings = changed
  log.level = changed.logLevel
  queue.boundBytes = changed.backlogBytes
}

/** Call when no execution is left: what the store does not have yet is kept for the next start. */
export async function closeThread(): Promise<void> {
  await starter.close()
  idLog.close()
  await queue.close().catch((error: Error) => log.error({ cause: error.message }, 'waiting writes are lost'))
  await store.close()
}
