import { constants } from 'node:os'
import type { ServiceNotifier } from '../os/platform.js'

/** How long a start or a stop may go on after each sign of life, and at most how long one of them takes to come. */
const EXTENSION_MS = 30_000
const BEAT_MS = 10_000
const STATUS_MS = 1_000
const STATUS_MAX = 1_000

/** Counts of executions. */
export interface Load {
  readonly active: number
  readonly waiting: number
}

/** Where the agent is in its life, and what a person is told of it. */
type Phase =
  | { readonly kind: 'starting' }
  | { readonly kind: 'waiting'; readonly cause: string }
  | Serving
  | { readonly kind: 'reloading'; readonly serving: Serving }
  | { readonly kind: 'draining'; readonly load: Load; readonly until: Date }
  | { readonly kind: 'failed'; readonly reason: string }

interface Serving {
  readonly kind: 'serving'
  /** Where it listens. */
  readonly address: string
  readonly load: Load
  /** What an operator has to put right. */
  readonly problems: () => readonly string[]
}

/**
 * Tells the service manager, where there is one, how the agent is (sd_notify(3)). Its timer is the main thread's own, so
 * that a thread which is stuck gives no sign of life. Main thread only.
 */
export class ServiceManager {
  private phase: Phase = { kind: 'starting' }
  private lastStatus = ''
  private timers: NodeJS.Timeout[] = []

  constructor(private readonly notifier: ServiceNotifier | undefined) {}

  /** The agent prepares to serve. Not before Platform.isolate: until then it must be alone in its cgroup. */
  starting(): void {
    if (!this.notifier) return
    const { watchdogMs = Infinity } = this.notifier
    this.timers = [
      setInterval(() => this.beat(), Math.min(watchdogMs / 3, BEAT_MS)).unref(),
      setInterval(() => this.tellStatus(), STATUS_MS).unref(),
    ]
    this.enter({ kind: 'starting' })
    this.beat()
  }

  /** The start goes on when that is so. */
  waiting(cause: string): void {
    this.phase = { kind: 'waiting', cause }
    this.tellStatus()
  }

  /** `problems` are told with all else. */
  serving(address: string, load: Load, problems: () => readonly string[] = () => []): void {
    this.enter({ kind: 'serving', address, load, problems }, 'READY=1')
  }

  /** The agent takes on a new configuration; `ready` follows, whatever becomes of that. Ignored unless it serves. */
  reloading(): void {
    if (this.phase.kind !== 'serving') return
    // systemd knows by the time which of its requests is answered.
    const now = process.hrtime.bigint() / 1000n
    this.enter({ kind: 'reloading', serving: this.phase }, 'RELOADING=1', `MONOTONIC_USEC=${now}`)
  }

  /** The end of what `reloading` has begun. */
  ready(): void {
    if (this.phase.kind === 'reloading') this.enter(this.phase.serving, 'READY=1')
  }

  /** The agent stops, and lets executions go on until then. */
  draining(until: Date, load: Load): void {
    this.enter({ kind: 'draining', until, load }, 'STOPPING=1', extension())
  }

  /** The agent does not start. Resolves when that has been told. */
  failed({ message, errno }: { readonly message: string; readonly errno?: number | undefined }): Promise<void> {
    this.enter({ kind: 'failed', reason: message }, `ERRNO=${Math.abs(errno ?? constants.errno.EINVAL)}`)
    return this.close()
  }

  /** The last; resolves when all has been told. */
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
    // A start that waits is to fail in time; one that recovers what an earlier run has left makes its way.
    const extended = phase.kind === 'starting' || (phase.kind === 'draining' && phase.until.getTime() > Date.now())
    const lines = [...(this.notifier?.watchdogMs ? ['WATCHDOG=1'] : []), ...(extended ? [extension()] : [])]
    if (lines.length > 0) this.notifier?.offer(...lines)
  }

  private tellStatus(): void {
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
