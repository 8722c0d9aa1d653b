/** Numbers of executions. */
export interface Load {
  readonly active: number
  readonly waiting: number
}

/** What an agent that serves shows of itself. Read whenever somebody asks, so each getter is cheap. */
export interface Serving {
  /** The address that it listens on. */
  readonly address: string
  readonly load: Load
  /** Problems that an operator has to fix. */
  readonly problems: () => readonly string[]
  /** Why it can begin no execution until something changes; undefined where it can. */
  readonly obstacle: () => string | undefined
}

type Phase =
  | { readonly kind: 'starting' }
  /** The start waits for `cause`: the store, or the agent's name. The port is not open. */
  | { readonly kind: 'waiting'; readonly cause: string }
  | ({ readonly kind: 'serving' } & Serving)
  /** Executions may run until `until`. */
  | { readonly kind: 'stopping'; readonly until: Date; readonly load: Load }
  | { readonly kind: 'failed'; readonly reason: string }

/** In which state the agent is. It takes new executions in `serving` alone. */
export type State =
  | Phase
  /** By an operator: what was accepted goes on, and nothing new is taken. */
  | ({ readonly kind: 'draining'; readonly since: Date } & Serving)
  /** It answers, and can begin no execution because of `cause`. */
  | ({ readonly kind: 'stuck'; readonly cause: string } & Serving)

/** How often obstacles are looked at for those who wait for a change. */
const LOOK_MS = 1_000

/**
 * The one place that says in which state the agent is: for health checks, readiness, status, metrics and the service
 * manager. Main thread only.
 */
export class AgentState {
  private phase: Phase = { kind: 'starting' }
  private since: Date | undefined
  private readonly listeners = new Set<(state: State) => void>()
  private lastKind: State['kind'] = 'starting'
  private timer: NodeJS.Timeout | undefined

  get current(): State {
    const { phase, since } = this
    if (phase.kind !== 'serving') return phase
    const cause = phase.obstacle()
    if (cause !== undefined) return { ...phase, kind: 'stuck', cause }
    return since ? { ...phase, kind: 'draining', since } : phase
  }

  /** Since when an operator has it drained, in whatever state it is; undefined where it is not. */
  get drainedSince(): Date | undefined {
    return this.since
  }

  /** Calls `listener` after each change of state, within LOOK_MS. Answers a function that ends that. */
  onChange(listener: (state: State) => void): () => void {
    this.listeners.add(listener)
    this.timer ??= setInterval(() => this.look(), LOOK_MS).unref()
    return () => {
      this.listeners.delete(listener)
      if (this.listeners.size > 0) return
      clearInterval(this.timer)
      this.timer = undefined
    }
  }

  /** The start waits for `cause`. */
  wait(cause: string): void {
    this.enter({ kind: 'waiting', cause })
  }

  serve(serving: Serving): void {
    this.enter({ kind: 'serving', ...serving })
  }

  /** An operator's drain begins, or goes on after a restart. */
  drain(since: Date): void {
    this.since = since
    this.look()
  }

  resume(): void {
    this.since = undefined
    this.look()
  }

  /** For good: nothing follows. */
  stop(until: Date, load: Load): void {
    this.enter({ kind: 'stopping', until, load })
  }

  fail(reason: string): void {
    this.enter({ kind: 'failed', reason })
  }

  private enter(phase: Phase): void {
    this.phase = phase
    this.tell(this.current)
  }

  private look(): void {
    const state = this.current
    if (state.kind !== this.lastKind) this.tell(state)
  }

  private tell(state: State): void {
    this.lastKind = state.kind
    for (const listener of [...this.listeners]) listener(state)
  }
}
