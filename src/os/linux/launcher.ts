import {
  type ProcessEnd,
  type ProcessListener,
  type ProcessStarter,
  type RunningProcess,
  type StarterSetup,
  StartFailure,
  type StartRequest,
} from '../platform.js'
import type { LauncherEvents, StartStep } from './launcher-events.js'
import { LauncherProcess } from './launcher-process.js'
import { type Confinement, creditFrame, killFrame, startFrame } from './launcher-requests.js'
import { explainFailure } from './start-failure.js'

/** Output of one execution that may be under way at once, bytes; half of it is given back together. */
const CREDIT_BYTES = 262_144

/** An execution between its request and its end. */
type Tracked =
  | {
      readonly kind: 'starting'
      readonly request: StartRequest
      readonly listener: ProcessListener
      readonly resolve: (process: RunningProcess) => void
      readonly reject: (failure: StartFailure) => void
      readonly abort: () => void
    }
  | { readonly kind: 'running'; readonly listener: ProcessListener; readonly pid: number; readonly flow: Flow }

/** How much of its output has been taken in since the launcher was last told. */
interface Flow {
  taken: number
  paused: boolean
}

/**
 * Starts processes through a launcher of its own, a new one should it die. Nothing here is kept per execution but an
 * entry of a map: no descriptor, no handle of Node.
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
    }
    this.launcher = this.launch()
  }

  start(request: StartRequest, listener: ProcessListener): Promise<RunningProcess> {
    return new Promise((resolve, reject) => {
      if (request.signal?.aborted) return reject(unwanted(request))
      const id = ++this.lastId
      const frame = startFrame(id, request, this.confinement, CREDIT_BYTES)
      if (!frame) return this.explain('exec', 'E2BIG', request, reject)
      const launcher = this.living(reject)
      if (!launcher) return
      const abort = () => this.kill(id)
      request.signal?.addEventListener('abort', abort)
      this.tracked.set(id, { kind: 'starting', request, listener, resolve, reject, abort })
      launcher.send(frame)
    })
  }

  async close(): Promise<void> {
    await this.launcher?.close()
  }

  /** The launcher, a new one where it has died. */
  private living(reject: (failure: StartFailure) => void): LauncherProcess | undefined {
    try {
      this.launcher ??= this.launch()
    } catch (error) {
      const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException
      reject(new StartFailure(code, `no new launcher can be started: ${message} (${code})`))
    }
    return this.launcher
  }

  private launch(): LauncherProcess {
    const events: LauncherEvents = {
      started: (id, pid) => this.started(id, pid),
      output: (id, bytes) => this.output(id, bytes),
      ended: (id, end) => this.ended(id, end),
      failed: (id, step, code) => this.failed(id, step, code),
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
    const starting = this.tracked.get(id)
    if (starting?.kind !== 'starting') return
    starting.request.signal?.removeEventListener('abort', starting.abort)
    const flow: Flow = { taken: 0, paused: false }
    this.tracked.set(id, { kind: 'running', listener: starting.listener, pid, flow })
    starting.resolve({
      pid,
      kill: () => this.kill(id),
      pause: () => {
        flow.paused = true
      },
      resume: () => {
        flow.paused = false
        this.giveCredit(id, flow)
      },
    })
  }

  private output(id: number, bytes: Buffer): void {
    const running = this.tracked.get(id)
    if (running?.kind !== 'running') return
    running.flow.taken += bytes.length
    running.listener.output(bytes)
    this.giveCredit(id, running.flow)
  }

  private giveCredit(id: number, flow: Flow): void {
    if (flow.paused || flow.taken < CREDIT_BYTES / 2) return
    if (this.tracked.has(id)) this.launcher?.send(creditFrame(id, flow.taken))
    flow.taken = 0
  }

  private ended(id: number, end: ProcessEnd): void {
    const running = this.tracked.get(id)
    this.tracked.delete(id)
    running?.listener.ended(end)
  }

  private failed(id: number, step: StartStep, code: string): void {
    const starting = this.tracked.get(id)
    this.tracked.delete(id)
    if (starting?.kind !== 'starting') return
    if (step === 'cancelled') starting.reject(unwanted(starting.request))
    else this.explain(step, code, starting.request, starting.reject)
  }

  private explain(step: StartStep, code: string, request: StartRequest, reject: (failure: StartFailure) => void): void {
    void explainFailure({ step, code, message: `${step} failed` }, request).then(reject, reject)
  }

  /** The launcher has died, which nobody asked for. What it ran ends once it is gone. */
  private lost(how: string, launcher: LauncherProcess): void {
    const lost = [...this.tracked.values()]
    this.tracked.clear()
    const error = `the launcher has died (${how}), and everything it ran was killed`
    for (const one of lost) if (one.kind === 'starting') one.reject(new StartFailure('LAUNCHER_DIED', error))
    const running = lost.filter((one) => one.kind === 'running')
    void launcher.killRemains(running.map(({ pid }) => pid)).then(() => {
      for (const { listener } of running) listener.ended({ kind: 'lost', error })
    })
  }
}

function unwanted({ file }: StartRequest): StartFailure {
  return new StartFailure('ABORTED', `${file} was not started any more`)
}
