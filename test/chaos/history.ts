import type { FunctionName, Shape } from './functions.js'

const JUST_HEALED_MS = 3_000

const now = () => performance.now()

/** What is known of one execution. Times are performance.now(). */
export interface Track {
  readonly id: string
  readonly shape: Shape
  readonly functionName: FunctionName
  readonly async: boolean
  /** When it was first sent. */
  readonly sentAt: number
  /** Whether it was sent as a sync one, too, which leaves no record. */
  sentSync?: true
  /** How often it was answered that it is accepted (async), and that it has run (sync). */
  accepted: number
  ran: number
  cancelSentAt?: number
  /** The first final record that was shown of it. */
  final?: Shown
  readonly events: string[]
}

export interface Shown {
  readonly status: string
  readonly error: string
  readonly output: string
  readonly at: number
}

export interface DeployAttempt {
  readonly functionName: FunctionName
  readonly version: string
  readonly beganAt: number
  endedAt: number
  /** Unknown: the call was answered by no response. */
  outcome: 'acked' | 'refused' | 'unknown'
}

export interface Violation {
  readonly kind: string
  readonly what: string
  readonly id?: string
}

/** Everything that was done to one agent and seen of it. */
export class History {
  readonly tracks = new Map<string, Track>()
  readonly deploys: DeployAttempt[] = []
  readonly violations: Violation[] = []
  /** From when to when each fault lasted. */
  readonly faults: { readonly name: string; readonly from: number; to: number }[] = []
  readonly #timeline: string[] = []
  readonly #began = now()
  readonly #answers = new Map<string, number>()

  /** Something that concerns all. */
  note(what: string): void {
    this.#timeline.push(`${this.#stamp()} ${what}`)
  }

  track(id: string, shape: Shape, functionName: FunctionName, async: boolean): Track {
    const track: Track = { id, shape, functionName, async, sentAt: now(), accepted: 0, ran: 0, events: [] }
    this.tracks.set(id, track)
    return track
  }

  tell(track: Track, what: string): void {
    track.events.push(`${this.#stamp()} ${what}`)
  }

  /** Counts what calls are answered with. */
  answered(what: string): void {
    const kind = what.replace(/\d+/g, 'N').replace(/N-N-N|\/\S+/g, '…')
    this.#answers.set(kind, (this.#answers.get(kind) ?? 0) + 1)
  }

  violate(kind: string, what: string, id?: string): void {
    this.violations.push({ kind, what, ...(id !== undefined && { id }) })
    this.note(`VIOLATION ${kind}${id === undefined ? '' : ` of ${id}`}: ${what}`)
  }

  /** Whether a fault of one of these names touched the time from one to the other. */
  touched(from: number, to: number, ...names: string[]): boolean {
    return this.faults.some((fault) => names.includes(fault.name) && fault.from < to && fault.to > from)
  }

  /** Whether any fault touched the time from one to the other. */
  touchedByAny(from: number, to: number): boolean {
    return this.faults.some((fault) => fault.from < to && fault.to > from)
  }

  /** Whether anything is broken, or was a moment ago. */
  get ailing(): boolean {
    return this.faults.some(({ to }) => to > now() - JUST_HEALED_MS)
  }

  get timeline(): readonly string[] {
    return this.#timeline
  }

  /** How often calls were answered with what. */
  answers(): string {
    const sorted = [...this.#answers].sort(([, a], [, b]) => b - a)
    return sorted.map(([what, count]) => `${String(count).padStart(7)} ${what}`).join('\n')
  }

  #stamp(): string {
    return `${((now() - this.#began) / 1000).toFixed(3).padStart(8)}`
  }
}
