import { join } from 'node:path'
import { MessageChannel, parentPort, threadId, workerData } from 'node:worker_threads'
import { createLog, logQueueEvent } from '../log.js'
import { platform } from '../os/index.js'
import { openStore } from '../store/open.js'
import { RECORD_TTL_MS } from '../store/record.js'
import { WriteQueue } from '../store/write-queue.js'
import { type FromThread, type ThreadHello, type ToThread, type WorkerSetup, WRITES_DIR } from './messages.js'

/** What all executions of one worker thread share. */

export const setup = workerData as WorkerSetup
export const log = createLog(setup.logLevel, { worker: threadId })
export const store = openStore(setup.store)
export const starter = platform.createStarter(setup.starter)
export const baseEnvironment = platform.baseEnvironment(setup.runAs)
export const queue = new WriteQueue({
  store,
  dir: join(setup.stateDir, WRITES_DIR),
  boundBytes: setup.backlogBytes,
  report: (event) => logQueueEvent(log, store, event),
})

/** Ids of the recorded executions that run on this thread. */
export const recorded = new Set<string>()

setInterval(() => {
  if (recorded.size === 0) return
  store.renewLeases([...recorded]).catch((error: Error) => log.warn(`leases not renewed: ${error.message}`))
}, RECORD_TTL_MS / 4).unref()

const { port1: control, port2 } = new MessageChannel()
control.on('message', async ({ kind }: ToThread) => {
  if (kind !== 'close') return
  await starter.close()
  await queue.close().catch((error: Error) => log.error({ cause: error.message }, 'waiting writes are lost'))
  await store.close()
  control.postMessage({ kind: 'closed' } satisfies FromThread)
})
control.unref()
parentPort?.postMessage({ kind: 'hello', port: port2, queueId: queue.id } satisfies ThreadHello, [port2])
