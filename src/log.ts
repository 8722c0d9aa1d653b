import { createRequire } from 'node:module'
import pino, { type DestinationStream, type Logger } from 'pino'
import type { JournalEvent } from './ids/id-journal.js'
import { isJournal, journalEntries } from './journal.js'
import type { Store } from './store/store.js'
import type { QueueEvent } from './store/write-queue.js'

const STDERR = 2

/**
 * The log of one thread: JSON lines on standard error, or readable ones where that is a terminal or the journal. Written
 * at once, so that the last line before a crash is there.
 */
export function createLog(level: string, bindings: Record<string, unknown> = {}): Logger {
  return pino({ level, base: bindings }, destination())
}

function destination(): DestinationStream {
  const stderr = { fd: STDERR, sync: true }
  if (isJournal()) return toJournal(pino.destination(stderr))
  if (!process.stderr.isTTY) return pino.destination(stderr)
  return pinoPretty()({ destination: STDERR, sync: true, ignore: 'pid,hostname' })
}

/** Without what the journal knows itself: time, priority, process and, by its unit, which agent it is. */
function toJournal(stderr: DestinationStream): DestinationStream {
  const ignore = 'time,level,pid,hostname,agent'
  const readable = pinoPretty().prettyFactory({ colorize: false, singleLine: true, ignore })
  return {
    write(line) {
      const { level } = JSON.parse(line) as { level: number }
      stderr.write(journalEntries(pino.levels.labels[level] ?? 'info', readable(line)))
    },
  }
}

/** Loaded where it is used only. */
function pinoPretty(): typeof import('pino-pretty') {
  return createRequire(import.meta.url)('pino-pretty')
}

export type Log = Logger

/** Tells an operator how the store takes what is written. */
export function logQueueEvent(log: Log, store: Store, event: QueueEvent): void {
  switch (event.kind) {
    case 'away':
      log.warn({ store: store.address, cause: event.cause.message }, 'store is away: writes wait for it')
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
export function logJournalEvent(log: Log, event: JournalEvent): void {
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
