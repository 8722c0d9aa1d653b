import { LongTimer } from '../time/long-timer.js'
import type { EndCause, ProcessEnd, ProcessOutcome } from './platform.js'

/** Output that may be unreleased before its reading pauses, bytes. */
const WINDOW_BYTES = 262_144

/** What a starter without a launcher does to a process. */
export interface Controls {
  kill(): void
  pauseOutput(): void
  resumeOutput(): void
}

/** Cause, timeout and window of a process that this thread itself started. Any thread. */
export class Supervision {
  private readonly requested = performance.now()
  private timer: LongTimer | undefined
  private cause: EndCause | undefined
  private unreleased = 0
  private over = false

  constructor(
    private readonly timeoutMs: number,
    private readonly controls: Controls,
  ) {}

  /** It runs: its timeout begins. */
  started(): void {
    if (this.timeoutMs > 0) this.timer = new LongTimer(this.timeoutMs, () => this.kill('timeout'))
  }

  kill(cause: EndCause): void {
    if (this.over) return
    this.cause ??= cause
    this.controls.kill()
  }

  received(bytes: number): void {
    this.unreleased += bytes
    if (this.unreleased >= WINDOW_BYTES) this.controls.pauseOutput()
  }

  release(bytes: number): void {
    const waits = this.unreleased >= WINDOW_BYTES
    this.unreleased -= bytes
    if (waits && this.unreleased < WINDOW_BYTES && !this.over) this.controls.resumeOutput()
  }

  /** Call once. */
  ended(outcome: ProcessOutcome): ProcessEnd {
    this.over = true
    this.timer?.clear()
    const ran = outcome.kind !== 'not started' && outcome.kind !== 'never started'
    const durationMs = ran ? performance.now() - this.requested : 0
    return { ...outcome, ...(this.cause && { cause: this.cause }), durationMs }
  }
}
