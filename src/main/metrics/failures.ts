import type { ExecutionRecord } from '../../store/record.js'
import type { OutcomeKind } from '../../threads/messages.js'

/** Failures that are remembered, the latest. */
const REMEMBERED = 20
/** Characters of an error that are remembered: a function has a part in it. */
const ERROR_MAX = 300

export interface Failure {
  /** Epoch ms. */
  readonly at: number
  readonly id: string
  readonly functionName: string
  readonly kind: OutcomeKind
  readonly error: string
}

/** The last executions that have failed, in a ring: to add one moves nothing. Main thread only. */
export class Failures {
  private readonly ring: Failure[] = []
  private next = 0

  add(kind: OutcomeKind, { execution_id: id, function_name: functionName, error = '' }: ExecutionRecord): void {
    this.ring[this.next] = { at: Date.now(), id, functionName, kind, error: error.slice(0, ERROR_MAX) }
    this.next = (this.next + 1) % REMEMBERED
  }

  /** The latest first. */
  list(): Failure[] {
    return [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)].reverse()
  }
}
