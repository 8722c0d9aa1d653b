import { createRequire } from 'node:module'
import { isatty } from 'node:tty'
import { format } from 'node:util'
import { BroadcastChannel, isMainThread, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import pino, { type Logger } from 'pino'
import { isJournal, journalEntries } from './journal.js'
import { StandardError } from './standard-error.js'

const STDERR = 2
/** What libraries print and how often, at most. */
const REPEAT_MS = 60_000
const REPEATS_MAX = 100
/** Lines of worker threads, on their way to the one that writes. */
const LINES = 'flux-agent log'

/**
 * The log of one thread: JSON lines on standard error, or readable ones where that is a terminal or the journal. Nobody
 * waits for whoever reads it: what is too much is dropped, and counted in a line. What worker threads say is written by
 * the main thread, which needs a log of its own for that.
 */
export function createLog(level: string, bindings: Record<string, unknown> = {}): Logger {
  const shape = formatter()
  if (!isMainThread) {
    const lines = new BroadcastChannel(LINES)
    lines.unref()
    const log = pino({ level, base: bindings }, { write: (line) => lines.postMessage(shape(line)) })
    takeConsole(log)
    return log
  }
  const stderr = new StandardError((dropped) => {
    log.error({ dropped }, 'lines of the log were dropped: whoever reads it did not keep up')
  })
  const log = pino({ level, base: bindings }, { write: (line) => stderr.write(shape(line)) })
  takeConsole(log)
  const lines = new BroadcastChannel(LINES)
  lines.onmessage = ({ data }) => stderr.write(String(data))
  lines.unref()
  process.prependListener('exit', () => {
    // It takes one of these as well, which its type does not say.
    const port = lines as unknown as MessagePort
    for (let line = receiveMessageOnPort(port); line; line = receiveMessageOnPort(port)) stderr.write(line.message)
  })
  return log
}

/** What libraries print of their own accord is a line of the log as well; the same again counts once a minute. */
function takeConsole(log: Logger): void {
  const lastLogged = new Map<string, number>()
  const logOnce = (level: 'error' | 'warn') => {
    return (...parts: unknown[]) => {
      const [text = ''] = format(...parts).split('\n')
      const now = performance.now()
      if (now - (lastLogged.get(text) ?? -Infinity) < REPEAT_MS) return
      if (lastLogged.size >= REPEATS_MAX) lastLogged.clear()
      lastLogged.set(text, now)
      log[level](text)
    }
  }
  console.error = logOnce('error')
  console.warn = logOnce('warn')
}

/** Makes of a line of JSON what is written. */
function formatter(): (line: string) => string {
  if (isJournal()) return toJournal()
  if (!isatty(STDERR)) return (line) => line
  return pinoPretty().prettyFactory({ colorize: true, ignore: 'pid,hostname' })
}

/** Without what the journal knows itself: time, priority, process and, by its unit, which agent it is. */
function toJournal(): (line: string) => string {
  const ignore = 'time,level,pid,hostname,agent'
  const readable = pinoPretty().prettyFactory({ colorize: false, singleLine: true, ignore })
  return (line) => {
    const { level } = JSON.parse(line) as { level: number }
    return journalEntries(pino.levels.labels[level] ?? 'info', readable(line))
  }
}

/** Loaded where it is used only. */
function pinoPretty(): typeof import('pino-pretty') {
  return createRequire(import.meta.url)('pino-pretty')
}

export type Log = Logger
