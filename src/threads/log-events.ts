import type { IdLogEvent } from '../ids/id-log.js'
import type { Log } from '../log/log.js'
import type { QueueEvent } from '../store/queue/write-queue.js'
import type { Store } from '../store/store.js'

/** Logs how the store, or a node of it, takes writes. */
export function logQueueEvent(log: Log, store: Pick<Store, 'address'>, event: QueueEvent, node: string): void {
  const where = { store: store.address, ...(node && { node }) }
  switch (event.kind) {
    case 'away':
      log.warn({ ...where, cause: event.cause.message }, 'store is away: writes wait for it')
      break
    case 'refused':
      log.error(
        { ...where, cause: event.cause.message },
        'store refuses writes, and no retry will help: writes wait until the cause is fixed',
      )
      break
    case 'back':
      log.info(where, 'store is back')
      break
    case 'disk-failed':
      log.error(
        { cause: event.cause.message },
        'waiting writes cannot be put on disk: functions wait until the disk or the store takes them',
      )
      break
    case 'lost':
      log.error({ writes: event.writes, dir: event.dir }, 'lost waiting writes that were damaged on disk')
      break
    case 'taken':
      log.error({ execution: event.id }, 'execution is not recorded: another one had its id in the store first')
      break
  }
}

/** Logs whether ids survive a restart. */
export function logIdLogEvent(log: Log, event: IdLogEvent): void {
  switch (event.kind) {
    case 'failed':
      log.warn(
        { cause: event.cause.message },
        'execution ids cannot be written to disk: after a restart they are accepted again',
      )
      break
    case 'works again':
      log.info('execution ids are written to disk again')
      break
    case 'damaged':
      log.warn(
        { file: event.file, problem: event.problem },
        'some execution ids of the last hour are lost: they are accepted again',
      )
      break
  }
}
