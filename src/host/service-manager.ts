import { constants } from 'node:os'
import type { ServiceNotifier } from '../os/platform.js'
import type { AgentState, State } from './agent-state.js'

/** Each extension allows a start or stop this much more time; extensions come every BEAT_MS. */
const EXTENSION_MS = 30_000
const BEAT_MS = 10_000
const STATUS_MS = 1_000
const STATUS_MAX = 1_000

/**
 * Reports readiness, health and status to systemd (sd_notify(3)), if it started this process. Runs on the main thread's
 * own timer, so that a stuck main thread stops the watchdog's pings. Main thread only.
 */
export class ServiceManager {
  private isReady = false
  private isReloading = false
  private lastStatus = ''
  private timers: NodeJS.Timeout[] = []
  private readonly leave: () => void

  constructor(
    private readonly notifier: ServiceNotifier | undefined,
    private readonly state: AgentState,
  ) {
    this.leave = notifier ? state.onChange((changed) => this.tell(changed)) : () => {}
  }

  /** The agent begins to start. Not before Platform.isolate, which needs the agent alone in its cgroup. */
  starting(): void {
    if (!this.notifier) return
    const { watchdogMs = Infinity } = this.notifier
    this.timers = [
      setInterval(() => this.beat(), Math.min(watchdogMs / 3, BEAT_MS)).unref(),
      setInterval(() => this.offerStatus(), STATUS_MS).unref(),
    ]
    this.send()
    this.beat()
  }

  /** A reload begins; `ready` ends it, whatever its result. Ignored unless the agent serves. */
  reloading(): void {
    if (!this.isReady || this.isReloading || this.state.current.kind === 'stopping') return
    this.isReloading = true
    // systemd matches the answer to its request by this time (systemd.service(5), Type=notify-reload).
    const now = process.hrtime.bigint() / 1000n
    this.send('RELOADING=1', `MONOTONIC_USEC=${now}`)
  }

  /** Ends a reload. */
  ready(): void {
    if (!this.isReloading) return
    this.isReloading = false
    this.send('READY=1')
  }

  /** The start has failed. Resolves when that is reported. */
  failed({ message, errno }: { readonly message: string; readonly errno?: number | undefined }): Promise<void> {
    this.leave()
    this.state.fail(message)
    this.send(`ERRNO=${Math.abs(errno ?? constants.errno.EINVAL)}`)
    return this.close()
  }

  /** The last call. Resolves when everything is sent. */
  async close(): Promise<void> {
    this.leave()
    for (const timer of this.timers) clearInterval(timer)
    await this.notifier?.close()
  }

  private tell(state: State): void {
    if (state.kind === 'stopping') {
      this.isReloading = false
      this.send('STOPPING=1', extension())
    } else if (isServing(state) && !this.isReady) {
      this.isReady = true
      this.send('READY=1')
    } else {
      this.offerStatus()
    }
  }

  private send(...lines: readonly string[]): void {
    this.lastStatus = this.status()
    this.notifier?.send(...lines, `STATUS=${this.lastStatus}`)
  }

  private beat(): void {
    const state = this.state.current
    // A waiting start gets no extension, so that systemd's timeout ends it; one that recovers an earlier run's work
    // does.
    const extended = state.kind === 'starting' || (state.kind === 'stopping' && state.until.getTime() > Date.now())
    const lines = [...(this.notifier?.watchdogMs ? ['WATCHDOG=1'] : []), ...(extended ? [extension()] : [])]
    if (lines.length > 0) this.notifier?.offer(...lines)
  }

  private offerStatus(): void {
    const status = this.status()
    if (status === this.lastStatus) return
    this.lastStatus = status
    this.notifier?.offer(`STATUS=${status}`)
  }

  private status(): string {
    const text = this.isReloading ? 'taking on a new configuration' : describe(this.state.current)
    return text.replace(/\s+/g, ' ').slice(0, STATUS_MAX)
  }
}

function extension(): string {
  return `EXTEND_TIMEOUT_USEC=${EXTENSION_MS * 1000}`
}

type ServingState = Extract<State, { readonly address: string }>

function isServing(state: State): state is ServingState {
  return 'address' in state
}

function describe(state: State): string {
  switch (state.kind) {
    case 'starting':
      return 'starting'
    case 'waiting':
      return `waiting for ${state.cause}`
    case 'serving':
      return withProblems(state, `serving on ${state.address}`)
    case 'draining':
      return withProblems(state, `draining since ${state.since.toISOString()}, on ${state.address}`)
    case 'stuck':
      return withProblems(state, `stuck, on ${state.address}: ${state.cause}`)
    case 'stopping':
      return `stopping: ${state.load.active} executions running, until ${state.until.toISOString()} at the latest`
    case 'failed':
      return `cannot start: ${state.reason}`
  }
}

function withProblems({ problems, load: { active, waiting } }: ServingState, what: string): string {
  const lines = problems().map((problem) => `PROBLEM: ${problem}`)
  return [...lines, `${what}: ${active} executions running, ${waiting} waiting`].join('; ')
}
