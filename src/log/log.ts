import { createRequire } from 'node:module'
import { isatty } from 'node:tty'
import { format } from 'node:util'
import { BroadcastChannel, isMainThread, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import pino, { type Logger } from 'pino'
import { isJournal, journalEntries } from './journal.js'
import { StandardError } from './standard-error.js'

const STDERR = 2
/** A library's line is repeated at most once in this time; this many different lines are remembered. */
const REPEAT_MS = 60_000
const REPEATS_MAX = 100
/** The channel on which worker threads send their lines to the main thread. */
const LINES = 'flux-agent log'

/**
 * The log of the calling thread: JSON lines on standard error, or readable ones where that is a terminal or the
 * journal. Logging never waits for the reader: lines beyond a bounded buffer are dropped and counted. The main thread
 * writes the lines of worker threads, so it needs a log of its own.
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
    log.error({ dropped }, 'log lines were dropped: their reader did not keep up')
  })
  const log = pino({ level, base: bindings }, { write: (line) => stderr.write(shape(line)) })
  takeConsole(log)
  const lines = new BroadcastChannel(LINES)
  lines.onmessage = ({ data }) => stderr.write(String(data))
  lines.unref()
  process.prependListener('exit', () => {
    // The function accepts a BroadcastChannel, which its type omits.
    const port = lines as unknown as MessagePort
    for (let line = receiveMessageOnPort(port); line; line = receiveMessageOnPort(port)) stderr.write(line.message)
  })
  return log
}

/** Logs what libraries print to the console; the same line at most once a minute. */
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

/** Turns pino's JSON into the line that is written. */
function formatter(): (line: string) => string {
  if (isJournal()) return toJournal()
  if (!isatty(STDERR)) return (line) => line
  return pinoPretty().prettyFactory({ colorize: true, ignore: 'pid,hostname' })
}

/** Leaves out what the journal records itself: time, priority, process, and the unit, which names the agent. */
function toJournal(): (line: string) => string {
  const ignore = 'time,level,pid,hostname,agent'
  const readable = pinoPretty().prettyFactory({ colorize: false, singleLine: true, ignore })
  return (line) => {
    const { level } = JSON.parse(line) as { level: number }
    return journalEntries(pino.levels.labels[level] ?? 'info', readable(line))
  }
}

/** Loaded lazily: most agents log JSON. */
function pinoPretty(): typeof import('pino-pretty') {
  return createRequire(import.meta.url)('pino-pretty')
}

export type Log = Logger
