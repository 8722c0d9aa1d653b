import type { IdLogEvent } from '../ids/id-log.js'
import type { Log } from '../log/log.js'
import type { QueueEvent } from '../store/queue/write-queue.js'
import type { Store } from '../store/store.js'

/** Tells an operator how the store takes what is written. */
export function logQueueEvent(log: Log, store: Store, event: QueueEvent): void {
  switch (event.kind) {
    case 'away':
      log.warn({ store: store.address, cause: event.cause.message }, 'store is away: writes wait for it')
      break
    case 'refused':
      log.error(
        { store: store.address, cause: event.cause.message },
        'the store refuses what is written, and no retry will help: writes wait until that is put right',
      )
      break
    case 'back':
      log.info({ store: store.address }, 'store is back')
      break
    case 'disk-failed':
      log.error({ cause: event.cause.message }, 'waiting writes cannot go to disk: functions are held up')
      break
    case 'lost':
      log.error({ writes: event.writes, dir: event.dir }, 'waiting writes came back damaged from disk')
      break
    case 'taken':
      log.error({ execution: event.id }, 'not recorded: another execution had this id before the store was told of it')
      break
  }
}

/** Tells an operator whether ids outlive this process. */
export function logIdLogEvent(log: Log, event: IdLogEvent): void {
  switch (event.kind) {
    case 'failed':
      log.warn({ cause: event.cause.message }, 'ids cannot be written down: after a restart they can run again')
      break
    case 'works again':
      log.info('ids are written down again')
      break
    case 'damaged':
      log.warn({ file: event.file, problem: event.problem }, 'some ids of the last hour are not known any more')
      break
  }
}
