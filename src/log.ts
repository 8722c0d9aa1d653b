import { createRequire } from 'node:module'
import pino, { type Logger } from 'pino'
import type { Store } from './store/store.js'
import type { QueueEvent } from './store/write-queue.js'

const STDERR = 2

/**
 * The log of one thread: JSON lines on standard error, or readable ones where that is a terminal. Written at once, so
 * that the last line before a crash is there.
 */
export function createLog(level: string, bindings: Record<string, unknown> = {}): Logger {
  const options = { level, base: bindings }
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: STDERR, sync: true }))
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty')
  return pino(options, pretty({ destination: STDERR, sync: true, ignore: 'pid,hostname' }))
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
  }
}
