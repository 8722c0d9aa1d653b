import type {
  ProcessEnd,
  ProcessListener,
  ProcessStarter,
  StarterSetup,
  StartRequest,
  SupervisedProcess,
} from '../../platform.js'
import { explainFailure, startFailure } from '../program/start-failure.js'
import type { LauncherEvents, LauncherFailure } from './events.js'
import { LauncherProcess } from './process.js'
import { type Confinement, creditFrame, killFrame, startFrame } from './requests.js'

/** Output of one execution that may be under way, bytes; half of it is granted again at a time. */
const CREDIT_BYTES = 262_144

/** An execution from its request to its end. */
interface Tracked {
  readonly request: StartRequest
  readonly listener: ProcessListener
  /** The leader's pid, once it runs. */
  pid: number | undefined
  /** Output received since credit was last granted, bytes. */
  taken: number
  paused: boolean
}

/**
 * Starts processes through a launcher, and a new launcher if it dies. An execution costs one map entry here: no
 * descriptor and no handle of Node.
 */
export class LauncherStarter implements ProcessStarter {
  private readonly tracked = new Map<number, Tracked>()
  private readonly confinement: Confinement
  private launcher: LauncherProcess | undefined
  private lastId = 0

  constructor(private readonly setup: StarterSetup & { readonly kind: 'launcher' }) {
    const controllers = setup.cgroups?.controllers ?? []
    this.confinement = {
      noNewPrivileges: setup.noNewPrivileges,
      maxProcesses: controllers.includes('pids') ? setup.maxProcesses : 0,
      keepsMemory: controllers.includes('memory'),
      keepsCpu: controllers.includes('cpu'),
      oomKillsOne: setup.oomKill === 'process',
    }
    this.launcher = this.launch()
  }

  start(request: StartRequest, listener: ProcessListener): SupervisedProcess {
    const id = ++this.lastId
    const tracked: Tracked = { request, listener, pid: undefined, taken: 0, paused: false }
    this.tracked.set(id, tracked)
    const frame = startFrame(id, request, this.confinement, CREDIT_BYTES)
    if (!frame) this.failed(id, { step: 'exec', code: 'E2BIG', survivors: [] })
    else this.living(id)?.send(frame)
    return {
      kill: () => this.kill(id),
      pause: () => {
        tracked.paused = true
      },
      resume: () => {
        tracked.paused = false
        this.giveCredit(id, tracked)
      },
    }
  }

  async close(): Promise<void> {
    await this.launcher?.close()
  }

  /** The launcher, or a new one where it has died; ends the execution where none can be started. */
  private living(id: number): LauncherProcess | undefined {
    try {
      this.launcher ??= this.launch()
    } catch (error) {
      const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException
      const failure = startFailure(code, `no new launcher can be started: ${message} (${code})`)
      queueMicrotask(() => this.ended(id, failure))
    }
    return this.launcher
  }

  private launch(): LauncherProcess {
    const events: LauncherEvents = {
      started: (id, pid) => this.started(id, pid),
      output: (id, bytes) => this.output(id, bytes),
      ended: (id, end) => this.ended(id, end),
      failed: (id, failure) => this.failed(id, failure),
    }
    const launcher = new LauncherProcess(this.setup, events, (how) => {
      if (this.launcher === launcher) this.launcher = undefined
      this.lost(how, launcher)
    })
    return launcher
  }

  private kill(id: number): void {
    if (this.tracked.has(id)) this.launcher?.send(killFrame(id))
  }

  private started(id: number, pid: number): void {
    const tracked = this.tracked.get(id)
    if (!tracked) return
    tracked.pid = pid
    tracked.listener.started(pid)
  }

  private output(id: number, bytes: Buffer): void {
    const tracked = this.tracked.get(id)
    if (!tracked) return
    tracked.taken += bytes.length
    tracked.listener.output(bytes)
    this.giveCredit(id, tracked)
  }

  private giveCredit(id: number, tracked: Tracked): void {
    if (tracked.paused || tracked.taken < CREDIT_BYTES / 2) return
    if (this.tracked.has(id)) this.launcher?.send(creditFrame(id, tracked.taken))
    tracked.taken = 0
  }

  private ended(id: number, end: ProcessEnd): void {
    const tracked = this.tracked.get(id)
    this.tracked.delete(id)
    tracked?.listener.ended(end)
  }

  private failed(id: number, { step, code, survivors: pids }: LauncherFailure): void {
    const left = pids.length > 0 && { survivors: { count: pids.length, pids } }
    if (step === 'cancelled') {
      this.ended(id, { kind: 'never started', ...left })
      return
    }
    const tracked = this.tracked.get(id)
    this.tracked.delete(id)
    if (!tracked) return
    const { request, listener } = tracked
    void explainFailure({ step, code, message: `${step} failed` }, request).then((end) =>
      listener.ended({ ...end, ...left }),
    )
  }

  /** The launcher died. Its executions end once their processes are dead. */
  private lost(how: string, launcher: LauncherProcess): void {
    const error = `the launcher has died (${how}), and everything it ran was killed`
    const lost = [...this.tracked.values()]
    this.tracked.clear()
    for (const { pid, listener } of lost) {
      if (pid === undefined) listener.ended(startFailure('LAUNCHER_DIED', error))
    }
    const running = lost.filter(({ pid }) => pid !== undefined)
    void launcher.killRemains(running.map(({ pid }) => pid as number)).then(() => {
      for (const { listener } of running) listener.ended({ kind: 'lost', error })
    })
  }
}
