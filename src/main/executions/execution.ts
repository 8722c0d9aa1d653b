import type { EndCause } from '../../os/platform.js'
import type { FromExecution, FromStore, Outcome, OutputPart, Refusal, ToExecution } from '../../threads/messages.js'
import type { ExecutionObserver } from './observer.js'
import type { TaskListener, WorkerTask } from './worker.js'

export type Acceptance = { readonly kind: 'accepted' } | Refusal

/** The execution has ended: no process of it is left but those that no signal ends, and none will be started. */
export type FinalPhase = { readonly kind: 'ended'; readonly outcome: Outcome } | Refusal

/** An execution's phase, as far as the main thread knows it. */
type Phase =
  /** Waits for a slot. */
  | { readonly kind: 'queued' }
  /** Has a slot. `pid`: the leader's, once its process is started. */
  | { readonly kind: 'running'; readonly pid?: number }
  | FinalPhase

/** Reads the output of an unsettled execution, range by range. */
export interface Follower {
  /** Output from the offset on, once there is any; undefined where only the store has it. */
  read(offset: number): Promise<OutputPart | undefined>
  /** Call after the last `read`. */
  leave(): void
}

/** Who has the execution; is told of each of these once, in this turn. */
export interface ExecutionOwner {
  /** It has ended, or was refused. */
  ended(execution: Execution): void
  settled(execution: Execution): void
  /** Its worker has died, or has met a defect. May be told again, once another worker supervises it. */
  failed(execution: Execution, error: Error): void
}

/** The main thread's end of an execution that a worker supervises. Main thread only. */
export class Execution implements TaskListener {
  /** Of an async execution: resolves once its begin is recorded, or it is refused. */
  readonly accepted: Promise<Acceptance> | undefined
  readonly ended: Promise<FinalPhase>

  private phase: Phase = { kind: 'queued' }
  private cancelled = false
  /** Made on demand: few executions are read while they run. */
  private answers: Map<number, (message: FromExecution | undefined) => void> | undefined
  private requests = 0
  /** Until the worker settles the execution. */
  private task: WorkerTask | undefined
  /** A kill while no worker supervises it. */
  private unsent: ToExecution | undefined
  private accept: (acceptance: Acceptance) => void = () => {}
  private end: (phase: FinalPhase) => void = () => {}

  constructor(
    readonly id: string,
    readonly functionName: string,
    readonly async: boolean,
    private readonly owner: ExecutionOwner,
    /** Absent: nobody wants to know. */
    private readonly observer?: ExecutionObserver,
    readonly startedAt = new Date(),
  ) {
    if (async) {
      this.accepted = new Promise((resolve) => {
        this.accept = resolve
      })
    }
    this.ended = new Promise((resolve) => {
      this.end = resolve
    })
  }

  get isQueued(): boolean {
    return this.phase.kind === 'queued'
  }

  get hasEnded(): boolean {
    return this.phase.kind === 'ended' || this.phase.kind === 'refused'
  }

  /** Undefined before its end, and if it was refused. */
  get outcome(): Outcome | undefined {
    return this.phase.kind === 'ended' ? this.phase.outcome : undefined
  }

  /** The leader's pid, while it runs. */
  get pid(): number | undefined {
    return this.phase.kind === 'running' ? this.phase.pid : undefined
  }

  /** Sets the worker's task that supervises it. */
  supervisedBy(task: WorkerTask): void {
    this.task = task
    const { unsent } = this
    this.unsent = undefined
    if (unsent) task.send(unsent)
  }

  /** It has a slot, is recorded, and runs already. `pid`: the leader's, as far as known. */
  takenOver(pid: number | undefined): void {
    this.phase = pid === undefined ? { kind: 'running' } : { kind: 'running', pid }
    this.accept({ kind: 'accepted' })
  }

  /** Starts it: it has a slot. */
  go(): void {
    this.phase = { kind: 'running' }
    this.observer?.hasSlot()
    this.send({ kind: 'go' })
  }

  /**
   * Kills it for this cause, unless its end is decided already. Resolves with the outcome once it has ended, which
   * names the cause that won; with undefined where it was refused.
   */
  async kill(cause: Exclude<EndCause, 'timeout'>): Promise<Outcome | undefined> {
    this.observer?.isKilled()
    this.send({ kind: 'kill', cause })
    const final = await this.ended
    return final.kind === 'ended' ? final.outcome : undefined
  }

  /** Kills it on a caller's request. Undefined where that comes too late: it has ended, or was cancelled before. */
  async cancel(): Promise<Outcome | undefined> {
    if (this.hasEnded || this.cancelled) return undefined
    this.cancelled = true
    const outcome = await this.kill('cancelled')
    return outcome?.cause === 'cancelled' ? outcome : undefined
  }

  /** Its JSON record with the output so far; undefined once it is settled, and only the store has it. */
  async snapshot(): Promise<FromStore<Uint8Array> | undefined> {
    const request = this.requests++
    const answer = await this.ask(request, { kind: 'snapshot', request })
    if (answer?.kind === 'snapshot') return { kind: 'found', value: answer.data }
    // The worker has waited for the store already: another wait could exceed the caller's deadline.
    if (answer)
      return { kind: 'unavailable', message: 'part of the output is in the store, which does not give it now' }
    return undefined
  }

  follow(): Follower {
    const request = this.requests++
    return {
      read: async (offset) => {
        const answer = await this.ask(request, { kind: 'read', request, offset })
        return answer?.kind === 'output' ? answer.part : undefined
      },
      leave: () => {
        this.send({ kind: 'unfollow', request })
        this.answer(request, undefined)
      },
    }
  }

  /** Its worker has died: it ends with this outcome, unless it has ended already. */
  abandon(outcome: () => Outcome): void {
    if (!this.hasEnded) this.receive({ kind: 'ended', outcome: outcome() })
  }

  receive(message: FromExecution): void {
    switch (message.kind) {
      case 'accepted':
        this.accept(message)
        break
      case 'refused':
        this.accept(message)
        this.finish(message)
        break
      case 'started':
        this.phase = { kind: 'running', pid: message.pid }
        this.observer?.hasStarted(message.at)
        break
      case 'ended':
        this.accept({ kind: 'accepted' })
        this.observer?.hasEnded(message.outcome)
        this.finish(message)
        break
      case 'snapshot':
      case 'output':
      case 'unreadable':
        this.answer(message.request, message)
        break
    }
  }

  settled(): void {
    this.detach()
    this.owner.settled(this)
  }

  failed(error: Error): void {
    this.detach()
    this.owner.failed(this, error)
  }

  /** Nothing more happens to it. */
  forgotten(): void {
    this.observer?.isSettled()
  }

  private detach(): void {
    this.task = undefined
    if (this.answers) for (const request of [...this.answers.keys()]) this.answer(request, undefined)
  }

  private finish(phase: FinalPhase): void {
    this.phase = phase
    this.owner.ended(this)
    this.end(phase)
  }

  private ask(request: number, question: ToExecution): Promise<FromExecution | undefined> {
    if (!this.task) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.answers ??= new Map()
      this.answers.set(request, resolve)
      this.send(question)
    })
  }

  private answer(request: number, message: FromExecution | undefined): void {
    this.answers?.get(request)?.(message)
    this.answers?.delete(request)
  }

  private send(message: ToExecution): void {
    if (this.task) this.task.send(message)
    else if (message.kind === 'kill') this.unsent ??= message
  }
}
