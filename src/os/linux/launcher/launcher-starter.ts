import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type {
  AdoptedProcesses,
  ProcessListener,
  ProcessStarter,
  StarterSetup,
  StartRequest,
  SupervisedProcess,
} from '../../platform.js'
import { startFailure } from '../program/start-failure.js'
import { type Connection, connectOnceFree, socketName } from './connection.js'
import type { LauncherEvents } from './events.js'
import { Launcher } from './launcher.js'
import { startLauncher } from './process.js'
import type { Confinement } from './requests.js'

/** Starts processes through a launcher, and a new launcher if it dies. Takes over those of an earlier agent. */
export class LauncherStarter implements ProcessStarter {
  private readonly confinement: Confinement
  restarts = 0
  private readonly adopted = new Set<Launcher>()
  /** Starts what is new. */
  private launcher: Launcher | undefined

  constructor(private readonly setup: StarterSetup & { readonly kind: 'launcher' }) {
    const controllers = setup.cgroups?.controllers ?? []
    this.confinement = {
      noNewPrivileges: setup.noNewPrivileges,
      maxProcesses: controllers.includes('pids') ? setup.maxProcesses : 0,
      keepsMemory: controllers.includes('memory'),
      keepsCpu: controllers.includes('cpu'),
      oomKillsOne: setup.oomKill === 'process',
      keeps: setup.surviveMs > 0,
    }
    this.launcher = this.launch()
  }

  start(request: StartRequest, listener: ProcessListener): SupervisedProcess {
    try {
      this.launcher ??= this.relaunch()
    } catch (error) {
      return notStarted(error as NodeJS.ErrnoException, listener)
    }
    return this.launcher.start(request, this.confinement, listener)
  }

  adopt(name: string, processes: number): AdoptedProcesses {
    const { scratchDir } = this.setup
    const launcher = this.keep(name, (events) => connectOnceFree(name, scratchDir, events), processes)
    this.adopted.add(launcher)
    return launcher
  }

  async close(): Promise<void> {
    await Promise.all(this.all().map((launcher) => launcher.close()))
  }

  async handOver(): Promise<void> {
    for (const launcher of this.all()) launcher.handOver()
  }

  private all(): Launcher[] {
    return [...this.adopted, ...(this.launcher ? [this.launcher] : [])]
  }

  private relaunch(): Launcher {
    const launcher = this.launch()
    this.restarts++
    return launcher
  }

  private launch(): Launcher {
    const name = `launcher-${randomBytes(6).toString('hex')}`
    const launcher = this.keep(name, (events) => startLauncher(this.setup, name, events))
    if (this.setup.sandboxes) launcher.useSandboxes(this.setup.sandboxes)
    return launcher
  }

  private keep(name: string, connect: (events: LauncherEvents) => Connection, inherited?: number) {
    const { cgroups, scratchDir } = this.setup
    const gone = (livesOn: boolean) => {
      // One that was killed has left it.
      if (!livesOn) rmSync(join(scratchDir, socketName(name)), { force: true })
      this.adopted.delete(launcher)
      if (this.launcher === launcher) this.launcher = undefined
    }
    const launcher: Launcher = new Launcher(connect, cgroups && join(cgroups.dir, name), gone, inherited)
    return launcher
  }
}

function notStarted({ code = 'UNKNOWN', message }: NodeJS.ErrnoException, listener: ProcessListener) {
  const failure = startFailure('launcher', code, `no new launcher can be started: ${message} (${code})`)
  queueMicrotask(() => listener.ended({ ...failure, durationMs: 0 }))
  return { kill: () => {}, release: () => {}, forget: () => {} }
}
