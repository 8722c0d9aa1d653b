import { Histogram } from '../../threads/histogram.js'
import { OUTCOMES, type Outcome, type OutcomeKind } from '../../threads/messages.js'
import { Failures } from './failures.js'

/** Functions that are counted by name; the others are counted together. */
export const NAMES_MAX = 200
/** The name of the others. */
export const OTHERS = 'other'

/** Seconds. An execution may run for hours, and wait as long. */
const DURATIONS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 10_800, 36_000,
] as const
const WAITS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600] as const
const STARTS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const
const KILLS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

/** The executions of one function that have ended. */
export class FunctionCounts {
  /** In the order of OUTCOMES. */
  readonly outcomes = new Float64Array(OUTCOMES.length)
  /** From the start of the process to its end, seconds. */
  readonly duration = new Histogram(DURATIONS)
  cpuMs = 0
}

/**
 * Counts executions. What an execution costs here is below a microsecond: one look-up by name, and numbers. Main thread
 * only.
 */
export class ExecutionCounts {
  readonly byFunction = new Map<string, FunctionCounts>()
  /** Of all functions together. */
  readonly duration = new Histogram(DURATIONS)
  /** From the call to the slot, seconds; about 0 for those that need not wait. */
  readonly wait = new Histogram(WAITS)
  /** From the slot to the running process, seconds. */
  readonly start = new Histogram(STARTS)
  /** From the first request to end it to the death of all its processes, seconds. */
  readonly kill = new Histogram(KILLS)
  /** By the step that failed. */
  readonly startFailures = new Map<string, number>()
  readonly failures = new Failures()

  /** `own`: of its function. */
  ended(own: FunctionCounts, { kind, failedStep, record }: Outcome): void {
    const at = OUTCOMES.indexOf(kind)
    own.outcomes[at] = (own.outcomes[at] as number) + 1
    if (kind !== 'start_failed') {
      const seconds = (record.duration_ms ?? 0) / 1000
      own.duration.observe(seconds)
      this.duration.observe(seconds)
    }
    if (record.cpu_ms) own.cpuMs += record.cpu_ms
    if (failedStep !== undefined) this.startFailures.set(failedStep, (this.startFailures.get(failedStep) ?? 0) + 1)
    if (isFailure(kind)) this.failures.add(kind, record)
  }

  /** Those of a function. Beyond NAMES_MAX functions they have theirs together. */
  of(functionName: string): FunctionCounts {
    const found = this.byFunction.get(functionName)
    if (found) return found
    const name = this.byFunction.size < NAMES_MAX ? functionName : OTHERS
    const counts = this.byFunction.get(name) ?? new FunctionCounts()
    this.byFunction.set(name, counts)
    return counts
  }
}

function isFailure(kind: OutcomeKind): boolean {
  return kind !== 'success' && kind !== 'cancelled'
}
