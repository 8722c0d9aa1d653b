import type { ExecutionRecord } from '../../store/record.js'
import type { Outcome } from '../../threads/messages.js'
import { monotonicMs } from '../../time/monotonic.js'
import type { ExecutionCounts, FunctionCounts } from '../metrics/execution-counts.js'
import type { ExecutionTimes, ExecutionTrace } from '../tracing/execution-trace.js'

/** Notes when one execution goes through what it goes through, for metrics and its spans. Main thread only. */
export class ExecutionObserver implements ExecutionTimes {
  slot: number | undefined
  started: number | undefined
  ended: number | undefined
  settled: number | undefined
  private killed: number | undefined
  private record: ExecutionRecord | undefined
  /** Those of its function. */
  private readonly own: FunctionCounts | undefined

  constructor(
    functionName: string,
    /** Undefined: it is not counted. */
    private readonly counts: ExecutionCounts | undefined,
    /** Undefined: nobody records its spans. */
    private readonly trace: ExecutionTrace | undefined,
    /** By monotonicMs: the call for it. */
    readonly begun: number,
  ) {
    this.own = counts?.of(functionName)
  }

  /** It has a slot. */
  hasSlot(): void {
    this.slot = monotonicMs()
    this.counts?.wait.observe((this.slot - this.begun) / 1000)
  }

  /** Its process runs, since then. One that was taken over is told of again. */
  hasStarted(at: number): void {
    if (this.started !== undefined) return
    this.started = at
    if (this.slot !== undefined) this.counts?.start.observe((at - this.slot) / 1000)
  }

  /** Somebody asks for its end. */
  isKilled(): void {
    this.killed ??= monotonicMs()
  }

  hasEnded(outcome: Outcome): void {
    this.ended = monotonicMs()
    this.record = outcome.record
    const { counts, own } = this
    if (!counts || !own) return
    counts.ended(own, outcome)
    if (this.killed !== undefined && outcome.cause !== undefined) counts.kill.observe((this.ended - this.killed) / 1000)
  }

  /** Nothing more happens to it. One that is left to the next agent has its spans from that. */
  isSettled(): void {
    const { trace, record } = this
    if (!trace || !record) return
    this.settled = monotonicMs()
    trace.done({ trace, record, times: this })
  }
}
