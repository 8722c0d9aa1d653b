import type {
  EndCause,
  FromExecution,
  FromStore,
  Outcome,
  OutputPart,
  Refusal,
  ToExecution,
} from '../../threads/messages.js'
import type { TaskListener, WorkerTask } from './worker.js'

export type Acceptance = { readonly kind: 'accepted' } | Refusal

/** No process of the execution is left, nor will be. */
export type FinalPhase = { readonly kind: 'ended'; readonly outcome: Outcome } | Refusal

/** Where an execution is in its life, as the main thread knows it. */
type Phase =
  /** It waits for a slot. */
  | { readonly kind: 'queued' }
  /** It has a slot. `pid`: the leader's, once its process is started. */
  | { readonly kind: 'running'; readonly pid?: number }
  | FinalPhase

/** Reads the output of a running execution, one range after the other. */
export interface Follower {
  /** Output from the offset on, as soon as there is any; undefined where only the store has it. */
  read(offset: number): Promise<OutputPart | undefined>
  /** No more will be asked. */
  leave(): void
}

/** The main thread's end of an execution that a worker supervises. Main thread only. */
export class Execution implements TaskListener {
  readonly startedAt = new Date()
  /** Whether it has been recorded; for a sync one it resolves with the end. */
  readonly accepted: Promise<Acceptance>
  readonly ended: Promise<FinalPhase>

  private phase: Phase = { kind: 'queued' }
  private cancelled = false
  /** Few executions are asked for anything. */
  private answers: Map<number, (message: FromExecution | undefined) => void> | undefined
  private requests = 0
  /** Until nothing more is heard of it. */
  private task: WorkerTask | undefined
  private accept: (acceptance: Acceptance) => void = () => {}
  private end: (phase: FinalPhase) => void = () => {}

  constructor(
    readonly id: string,
    readonly functionName: string,
    readonly async: boolean,
  ) {
    this.accepted = new Promise((resolve) => {
      this.accept = resolve
    })
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

  /** Undefined before its end, and where it was refused. */
  get outcome(): Outcome | undefined {
    return this.phase.kind === 'ended' ? this.phase.outcome : undefined
  }

  /** The leader's, while it runs. */
  get pid(): number | undefined {
    return this.phase.kind === 'running' ? this.phase.pid : undefined
  }

  /** From now on this task supervises it. */
  supervisedBy(task: WorkerTask): void {
    this.task = task
  }

  /** It has a slot. */
  go(): void {
    this.phase = { kind: 'running' }
    this.send({ kind: 'go' })
  }

  /**
   * Kills it for this cause, unless its end is decided already. Resolves when it has ended, with the outcome, which tells
   * the cause that won; undefined where it was refused.
   */
  async kill(cause: Exclude<EndCause, 'timeout'>): Promise<Outcome | undefined> {
    this.send({ kind: 'kill', cause })
    const final = await this.ended
    return final.kind === 'ended' ? final.outcome : undefined
  }

  /** Kills it for a caller's cancel. Undefined where that comes too late: it has ended, or another cancel came first. */
  async cancel(): Promise<Outcome | undefined> {
    if (this.hasEnded || this.cancelled) return undefined
    this.cancelled = true
    const outcome = await this.kill('cancelled')
    return outcome?.cause === 'cancelled' ? outcome : undefined
  }

  /** Its JSON record with the output so far; undefined once it is gone: the store has it. */
  async snapshot(): Promise<FromStore<Uint8Array> | undefined> {
    const request = this.requests++
    const answer = await this.ask(request, { kind: 'snapshot', request })
    if (answer?.kind === 'snapshot') return { kind: 'found', value: answer.data }
    // The store has been waited for already: asked again, it could keep the caller beyond its deadline.
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

  /** The thread that supervised it is dead: ends as told, unless it has ended already. */
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
        break
      case 'ended':
        this.accept({ kind: 'accepted' })
        this.finish(message)
        break
      case 'snapshot':
      case 'output':
      case 'unreadable':
        this.answer(message.request, message)
        break
    }
  }

  detached(): void {
    this.task = undefined
    for (const request of [...(this.answers?.keys() ?? [])]) this.answer(request, undefined)
  }

  private finish(phase: FinalPhase): void {
    this.phase = phase
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
    this.task?.send(message)
  }
}
