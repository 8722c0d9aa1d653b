import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { installation } from '../../installation.js'
import type { ServiceNotifier } from '../platform.js'

const { notifier: NOTIFIER } = installation
/** Variables that a service manager sets for the process it starts (sd_notify(3), sd_listen_fds(3)). */
const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']
/** With more bytes waiting, the notifier or its manager hangs. */
const WAITING_MAX = 4_096
const CLOSE_LIMIT_MS = 1_000

/** See Platform.takeServiceNotifier. */
export function takeServiceNotifier(report: (problem: string) => void): ServiceNotifier | undefined {
  const { NOTIFY_SOCKET: socket } = process.env
  const watchdogMs = watchdogInterval(process.env)
  for (const name of VARIABLES) delete process.env[name]
  return socket ? new Notifier(socket, watchdogMs, report) : undefined
}

/** As in sd_watchdog_enabled(3). */
function watchdogInterval({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number | undefined {
  if (WATCHDOG_PID !== undefined && Number(WATCHDOG_PID) !== process.pid) return undefined
  const ms = Number(WATCHDOG_USEC) / 1000
  return ms > 0 && Number.isFinite(ms) ? ms : undefined
}

/** Sends through the notifier program; starts a new one if it dies. */
class Notifier implements ServiceNotifier {
  readonly watchdogMs?: number
  private child: ChildProcess | undefined
  private reported = false

  constructor(
    private readonly socket: string,
    watchdogMs: number | undefined,
    private readonly report: (problem: string) => void,
  ) {
    if (watchdogMs !== undefined) this.watchdogMs = watchdogMs
  }

  send(...lines: readonly string[]): void {
    this.child ??= this.launch()
    this.child.stdin?.write(`${lines.join('\n')}\0`)
  }

  offer(...lines: readonly string[]): void {
    if ((this.child?.stdin?.writableLength ?? 0) < WAITING_MAX) this.send(...lines)
  }

  async close(): Promise<void> {
    const { child } = this
    if (!child) return
    // Keeps this process alive until then.
    child.ref()
    const ended = once(child, 'close').catch(() => {})
    child.stdin?.end()
    await Promise.race([ended, sleep(CLOSE_LIMIT_MS, undefined, { ref: false })])
  }

  private launch(): ChildProcess {
    const child = spawn(NOTIFIER, [String(process.pid)], {
      cwd: '/',
      env: { NOTIFY_SOCKET: this.socket },
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    const forget = () => {
      if (this.child === child) this.child = undefined
    }
    child.once('close', forget)
    child.once('error', ({ message }) => {
      forget()
      if (!this.reported) this.report(`the service manager is not notified: ${message}`)
      this.reported = true
    })
    // The close event reports it.
    child.stdin?.on('error', () => {})
    child.unref()
    return child
  }
}
