import { constants } from 'node:os'
import type { ServiceNotifier } from '../os/platform.js'

/** Each extension allows a start or stop this much more time; extensions come every BEAT_MS. */
const EXTENSION_MS = 30_000
const BEAT_MS = 10_000
const STATUS_MS = 1_000
const STATUS_MAX = 1_000

/** Numbers of executions. */
export interface Load {
  readonly active: number
  readonly waiting: number
}

/** The agent's phase, shown in its status. */
type Phase =
  | { readonly kind: 'starting' }
  | { readonly kind: 'waiting'; readonly cause: string }
  | Serving
  | { readonly kind: 'reloading'; readonly serving: Serving }
  | { readonly kind: 'draining'; readonly load: Load; readonly until: Date }
  | { readonly kind: 'failed'; readonly reason: string }

interface Serving {
  readonly kind: 'serving'
  /** The address that it listens on. */
  readonly address: string
  readonly load: Load
  /** Problems that an operator has to fix. */
  readonly problems: () => readonly string[]
}

/**
 * Reports readiness, health and status to systemd (sd_notify(3)), if it started this process. Runs on the main thread's
 * own timer, so that a stuck main thread stops the watchdog's pings. Main thread only.
 */
export class ServiceManager {
  private phase: Phase = { kind: 'starting' }
  private lastStatus = ''
  private timers: NodeJS.Timeout[] = []

  constructor(private readonly notifier: ServiceNotifier | undefined) {}

  /** The agent begins to start. Not before Platform.isolate, which needs the agent alone in its cgroup. */
  starting(): void {
    if (!this.notifier) return
    const { watchdogMs = Infinity } = this.notifier
    this.timers = [
      setInterval(() => this.beat(), Math.min(watchdogMs / 3, BEAT_MS)).unref(),
      setInterval(() => this.sendStatus(), STATUS_MS).unref(),
    ]
    this.enter({ kind: 'starting' })
    this.beat()
  }

  /** The start waits for `cause`. */
  waiting(cause: string): void {
    this.phase = { kind: 'waiting', cause }
    this.sendStatus()
  }

  /** `problems`: shown in the status. */
  serving(address: string, load: Load, problems: () => readonly string[] = () => []): void {
    this.enter({ kind: 'serving', address, load, problems }, 'READY=1')
  }

  /** A reload begins; `ready` ends it, whatever its result. Ignored unless the agent serves. */
  reloading(): void {
    if (this.phase.kind !== 'serving') return
    // systemd matches the answer to its request by this time (systemd.service(5), Type=notify-reload).
    const now = process.hrtime.bigint() / 1000n
    this.enter({ kind: 'reloading', serving: this.phase }, 'RELOADING=1', `MONOTONIC_USEC=${now}`)
  }

  /** Ends a reload. */
  ready(): void {
    if (this.phase.kind === 'reloading') this.enter(this.phase.serving, 'READY=1')
  }

  /** The agent stops, and executions may run until `until`. */
  draining(until: Date, load: Load): void {
    this.enter({ kind: 'draining', until, load }, 'STOPPING=1', extension())
  }

  /** The start has failed. Resolves when that is reported. */
  failed({ message, errno }: { readonly message: string; readonly errno?: number | undefined }): Promise<void> {
    this.enter({ kind: 'failed', reason: message }, `ERRNO=${Math.abs(errno ?? constants.errno.EINVAL)}`)
    return this.close()
  }

  /** The last call. Resolves when everything is sent. */
  async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer)
    await this.notifier?.close()
  }

  private enter(phase: Phase, ...lines: readonly string[]): void {
    this.phase = phase
    this.lastStatus = statusOf(phase)
    this.notifier?.send(...lines, `STATUS=${this.lastStatus}`)
  }

  private beat(): void {
    const { phase } = this
    // A waiting start gets no extension, so that systemd's timeout ends it; one that recovers an earlier run's work
    // does.
    const extended = phase.kind === 'starting' || (phase.kind === 'draining' && phase.until.getTime() > Date.now())
    const lines = [...(this.notifier?.watchdogMs ? ['WATCHDOG=1'] : []), ...(extended ? [extension()] : [])]
    if (lines.length > 0) this.notifier?.offer(...lines)
  }

  private sendStatus(): void {
    const status = statusOf(this.phase)
    if (status === this.lastStatus) return
    this.lastStatus = status
    this.notifier?.offer(`STATUS=${status}`)
  }
}

function extension(): string {
  return `EXTEND_TIMEOUT_USEC=${EXTENSION_MS * 1000}`
}

function statusOf(phase: Phase): string {
  return describe(phase).replace(/\s+/g, ' ').slice(0, STATUS_MAX)
}

function describe(phase: Phase): string {
  switch (phase.kind) {
    case 'starting':
      return 'starting'
    case 'waiting':
      return `waiting for ${phase.cause}`
    case 'serving':
      return [
        ...phase.problems().map((problem) => `PROBLEM: ${problem}`),
        `serving on ${phase.address}: ${phase.load.active} executions running, ${phase.load.waiting} waiting`,
      ].join('; ')
    case 'reloading':
      return 'taking on a new configuration'
    case 'draining':
      return `stopping: ${phase.load.active} executions running, until ${phase.until.toISOString()} at the latest`
    case 'failed':
      return `cannot start: ${phase.reason}`
  }
}
