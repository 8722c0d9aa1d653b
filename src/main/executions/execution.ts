import type {
  EndCause,
  FromExecution,
  FromStore,
  Outcome,
  OutputPart,
  Refusal,
  ToExecution,
} from '../../threads/messages.js'
import type { SupervisedTask, TaskListener } from './worker.js'

export type Acceptance = { readonly kind: 'accepted' } | Refusal

/** A follower's way of asking for output, one stretch after the other. */
export interface Follower {
  /** Output from the offset on, as soon as there is any; undefined where only the store has it. */
  read(offset: number): Promise<OutputPart | undefined>
  /** No more will be asked. */
  leave(): void
}

/** The main thread's end of an execution that a worker supervises. */
export class Execution implements TaskListener {
  readonly startedAt = new Date()
  /** The leader's, once it runs. */
  pid: number | undefined
  /** Whether it waits for a slot. */
  queued: boolean
  /** Set once it has ended. */
  outcome: Outcome | undefined

  /** Whether it has been recorded; for a sync one it settles with the end. */
  readonly acceptance: Promise<Acceptance>
  /** Stays pending where the execution was refused. */
  readonly ended: Promise<Outcome>
  /** It has ended or was refused: no process of it is left, nor will be. */
  readonly over: Promise<void>
  isOver = false
  /** Whether a cancel is on its way: a second one comes too late. */
  cancelling = false

  /** Few executions are asked for anything. */
  private answers: Map<number, (message: FromExecution | undefined) => void> | undefined
  private requests = 0
  /** Until nothing more is heard of it. */
  private task: SupervisedTask | undefined
  private accept: (acceptance: Acceptance) => void = () => {}
  private settle: (outcome: Outcome) => void = () => {}
  private finish: () => void = () => {}

  constructor(
    readonly id: string,
    readonly functionName: string,
    readonly async: boolean,
    hold: boolean,
  ) {
    this.queued = hold
    this.acceptance = new Promise((resolve) => {
      this.accept = resolve
    })
    this.ended = new Promise((resolve) => {
      this.settle = resolve
    })
    this.over = new Promise((resolve) => {
      this.finish = resolve
    })
  }

  /** From now on this task supervises it. */
  supervisedBy(task: SupervisedTask): void {
    this.task = task
  }

  /** A slot is free. */
  go(): void {
    this.queued = false
    this.tell({ kind: 'go' })
  }

  /**
   * Ends it for this cause, unless its end is decided already. Resolves when it is over, with the outcome, which tells
   * the cause that won; undefined where it was refused.
   */
  async end(cause: Exclude<EndCause, 'timeout'>): Promise<Outcome | undefined> {
    this.tell({ kind: 'end', cause })
    await this.over
    return this.outcome
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
        this.tell({ kind: 'unfollow', request })
        this.answer(request, undefined)
      },
    }
  }

  /** The thread that supervised it is dead: ends as told, unless it has ended already. */
  abandon(outcome: () => Outcome): void {
    if (!this.isOver) this.hear({ kind: 'ended', outcome: outcome() })
  }

  hear(message: FromExecution): void {
    switch (message.kind) {
      case 'accepted':
        this.accept(message)
        break
      case 'refused':
        this.accept(message)
        this.conclude()
        break
      case 'started':
        this.pid = message.pid
        break
      case 'ended':
        this.outcome = message.outcome
        this.pid = undefined
        this.accept({ kind: 'accepted' })
        this.settle(message.outcome)
        this.conclude()
        break
      case 'snapshot':
      case 'output':
      case 'unreadable':
        this.answer(message.request, message)
        break
    }
  }

  gone(): void {
    this.task = undefined
    for (const request of [...(this.answers?.keys() ?? [])]) this.answer(request, undefined)
  }

  private conclude(): void {
    this.isOver = true
    this.finish()
  }

  private ask(request: number, question: ToExecution): Promise<FromExecution | undefined> {
    if (!this.task) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.answers ??= new Map()
      this.answers.set(request, resolve)
      this.tell(question)
    })
  }

  private answer(request: number, message: FromExecution | undefined): void {
    this.answers?.get(request)?.(message)
    this.answers?.delete(request)
  }

  private tell(message: ToExecution): void {
    this.task?.tell(message)
  }
}
