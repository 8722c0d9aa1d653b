import type {
  EndCause,
  KeptProcess,
  ProcessEnd,
  ProcessListener,
  Sandboxes,
  StartRequest,
  SupervisedProcess,
} from '../../platform.js'
import { emptied, killCgroup, removeTree } from '../cgroup-files.js'
import { groupDead, killGroup, killLeaderless, killTagged } from '../process-group.js'
import { explainFailure, startFailure } from '../program/start-failure.js'
import type { Connection } from './connection.js'
import type { LauncherEvents, LauncherFailure } from './events.js'
import {
  attachFrame,
  type Confinement,
  creditFrame,
  forgetFrame,
  isKept,
  killFrame,
  leaveFrame,
  sandboxesFrame,
  startFrame,
} from './requests.js'

/** Output of one process that may be under way, bytes; half of it is granted again at a time. */
const WINDOW_BYTES = 262_144
/** The same where the launcher keeps it until it is safe, which takes the store's time. */
const KEPT_WINDOW_BYTES = 524_288

/** A process from its request until its end, and one that is kept until that is safe. */
class Tracked implements SupervisedProcess {
  readonly requested = performance.now()
  /** The leader's pid, once it runs. */
  pid: number | undefined
  /** Released output for which no credit was sent, bytes. */
  released = 0
  ended = false

  constructor(
    private readonly launcher: Launcher,
    readonly id: number,
    /** Absent where an earlier agent has started it. */
    readonly request: StartRequest | undefined,
    readonly kept: boolean,
    readonly listener: ProcessListener,
  ) {}

  kill(cause: EndCause): void {
    if (!this.ended) this.launcher.kill(this.id, cause)
  }

  release(bytes: number): void {
    this.launcher.release(this, bytes)
  }

  forget(): void {
    this.launcher.forget(this)
  }
}

/** A launcher of which this thread has the connection. A process costs one map entry here: no descriptor, no handle. */
export class Launcher implements LauncherEvents {
  private readonly tracked = new Map<number, Tracked>()
  private readonly left: Promise<void>
  private waiting: Buffer[] = []
  private lastId = 0
  /** What this thread has asked of it, if anything. */
  private farewell: 'leave' | 'live on' | undefined
  /** Why its processes are lost, once it has died. */
  private death: string | undefined

  constructor(
    connect: (events: LauncherEvents) => Connection,
    /** That of its executions' cgroups; absent: there are none. */
    private readonly cgroup: string | undefined,
    /** Called once, first, when the connection has ended; with whether the launcher lives on. */
    gone: (livesOn: boolean) => void,
    /**
     * How many processes of an earlier agent, which has started it, are not attached yet: it leaves once it has nothing
     * left to do. Absent: this agent has started it.
     */
    private inherited: number | undefined,
  ) {
    this.connection = connect(this)
    this.left = this.connection.closed.then((how) => {
      gone(this.farewell === 'live on')
      if (!this.farewell) this.lost(how)
      else if (this.farewell === 'leave' && this.cgroup) removeTree(this.cgroup)
    })
  }

  private readonly connection: Connection

  start(request: StartRequest, confinement: Confinement, listener: ProcessListener): SupervisedProcess {
    const id = ++this.lastId
    const kept = isKept(request, confinement)
    const tracked = this.track(new Tracked(this, id, request, kept, listener))
    const frame = startFrame(id, request, confinement, kept ? KEPT_WINDOW_BYTES : WINDOW_BYTES)
    if (frame) this.send(frame)
    else queueMicrotask(() => this.failed(id, { step: 'exec', code: 'E2BIG', survivors: [] }))
    return tracked
  }

  /** Call before the first start. */
  useSandboxes(sandboxes: Sandboxes): void {
    this.send(sandboxesFrame(sandboxes))
  }

  /** See AdoptedProcesses. */
  attach(number: number, outputOffset: number, listener: ProcessListener): SupervisedProcess {
    const tracked = this.track(new Tracked(this, number, undefined, true, listener))
    if (this.inherited) this.inherited--
    const { death } = this
    if (death === undefined) this.send(attachFrame(number, outputOffset))
    else queueMicrotask(() => this.ended(number, { kind: 'lost', error: death, durationMs: 0 }))
    return tracked
  }

  /** See AdoptedProcesses. */
  kill(number: number, cause: EndCause): void {
    this.send(killFrame(number, cause))
  }

  /** Makes it kill everything, which is reported as usual, and exit. */
  async close(): Promise<void> {
    this.farewell = 'leave'
    this.send(leaveFrame())
    this.flush()
    this.connection.end()
    await this.left
  }

  /** Leaves what is kept to the next agent. No event follows. */
  handOver(): void {
    this.farewell = 'live on'
    this.flush()
    this.tracked.clear()
    this.connection.end()
  }

  ready(): void {}
  listed(_process: KeptProcess): void {}
  listEnd(): void {}

  started(id: number, pid: number): void {
    const tracked = this.tracked.get(id)
    if (!tracked) return
    tracked.pid = pid
    tracked.listener.started(pid)
  }

  output(id: number, bytes: Buffer): void {
    this.tracked.get(id)?.listener.output(bytes)
  }

  ended(id: number, end: ProcessEnd): void {
    const tracked = this.tracked.get(id)
    if (!tracked) return
    tracked.ended = true
    if (!tracked.kept) this.tracked.delete(id)
    tracked.listener.ended(end)
  }

  failed(id: number, { step, code, cause, survivors: pids }: LauncherFailure): void {
    const tracked = this.tracked.get(id)
    if (!tracked) return
    const facts = {
      durationMs: 0,
      ...(cause && { cause }),
      ...(pids.length > 0 && { survivors: { count: pids.length, pids } }),
    }
    if (step === 'cancelled') {
      this.ended(id, { kind: 'never started', ...facts })
      return
    }
    const { request } = tracked
    const message = `${step} failed`
    const explained = request
      ? explainFailure({ step, code, message }, request)
      : Promise.resolve(startFailure(step, code, `cannot start: ${message} (${code})`))
    void explained.then((failure) => this.ended(id, { ...failure, ...facts }))
  }

  /** See SupervisedProcess. */
  release(tracked: Tracked, bytes: number): void {
    tracked.released += bytes
    // What is kept takes up room until the launcher knows that it is safe.
    if (!tracked.kept && (tracked.ended || tracked.released < WINDOW_BYTES / 2)) return
    this.send(creditFrame(tracked.id, tracked.released))
    tracked.released = 0
  }

  /** See SupervisedProcess. */
  forget({ id, kept }: Tracked): void {
    if (!kept || !this.tracked.delete(id)) return
    this.send(forgetFrame(id))
    if (this.inherited === 0 && this.tracked.size === 0 && !this.farewell) void this.close()
  }

  private track(tracked: Tracked): Tracked {
    this.tracked.set(tracked.id, tracked)
    return tracked
  }

  /** All frames of one turn of the event loop take one write. */
  private send(frame: Buffer): void {
    this.waiting.push(frame)
    if (this.waiting.length === 1) process.nextTick(this.flush)
  }

  private readonly flush = (): void => {
    const { waiting } = this
    if (waiting.length === 0) return
    this.waiting = []
    this.connection.write(waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting))
  }

  /** It has died. Its processes end once they are dead. */
  private lost(how: string): void {
    const error = `the launcher has died (${how}), and everything it ran was killed`
    this.death = error
    const lost = [...this.tracked.values()].filter(({ ended }) => !ended)
    this.tracked.clear()
    const pids = lost.flatMap(({ pid }) => pid ?? [])
    void this.killRemains(pids).then(() => {
      for (const { pid, listener, requested } of lost) {
        // It may have run all the same: its start was not told.
        if (pid === undefined) listener.ended({ ...startFailure('launcher', 'LAUNCHER_DIED', error), durationMs: 0 })
        else listener.ended({ kind: 'lost', error, durationMs: performance.now() - requested })
      }
    })
  }

  /** Resolves when what it ran is dead. `pids`: the leaders. */
  private async killRemains(pids: readonly number[]): Promise<void> {
    if (this.cgroup) {
      killCgroup(this.cgroup)
      await emptied(this.cgroup)
      removeTree(this.cgroup)
      return
    }
    for (const pid of pids) killGroup(pid)
    killTagged(new Set(pids))
    await Promise.all(pids.map((pid) => groupDead(pid)))
    // Leaders that it had no time to tell of have died with it, but not what they have started.
    await killLeaderless()
  }
}
