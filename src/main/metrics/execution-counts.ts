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

  /** An execution begins now. */
  begins(functionName: string): ExecutionWatch {
    return new ExecutionWatch(this, this.of(functionName), performance.now())
  }

  /** One that an earlier agent has begun, and that runs. */
  resumes(functionName: string): ExecutionWatch {
    return new ExecutionWatch(this, this.of(functionName), undefined)
  }

  private of(functionName: string): FunctionCounts {
    const found = this.byFunction.get(functionName)
    if (found) return found
    const name = this.byFunction.size < NAMES_MAX ? functionName : OTHERS
    const counts = this.byFunction.get(name) ?? new FunctionCounts()
    this.byFunction.set(name, counts)
    return counts
  }
}

/** Times one execution. */
export class ExecutionWatch {
  /** When it got its slot, ms; undefined: not yet, or unknown, or told already. */
  private went: number | undefined
  private killed: number | undefined

  constructor(
    private readonly all: ExecutionCounts,
    private readonly own: FunctionCounts,
    private readonly asked: number | undefined,
  ) {}

  /** It has a slot. */
  hasSlot(): void {
    if (this.asked === undefined) return
    this.went = performance.now()
    this.all.wait.observe((this.went - this.asked) / 1000)
  }

  /** Its process runs. */
  hasStarted(): void {
    if (this.went !== undefined) this.all.start.observe((performance.now() - this.went) / 1000)
    this.went = undefined
  }

  /** Somebody asks for its end. */
  isKilled(): void {
    this.killed ??= performance.now()
  }

  hasEnded({ kind, failedStep, cause, record }: Outcome): void {
    const { all, own } = this
    const at = OUTCOMES.indexOf(kind)
    own.outcomes[at] = (own.outcomes[at] as number) + 1
    if (kind !== 'start_failed') {
      const seconds = (record.duration_ms ?? 0) / 1000
      own.duration.observe(seconds)
      all.duration.observe(seconds)
    }
    if (record.cpu_ms) own.cpuMs += record.cpu_ms
    if (this.killed !== undefined && cause !== undefined) all.kill.observe((performance.now() - this.killed) / 1000)
    if (failedStep !== undefined) all.startFailures.set(failedStep, (all.startFailures.get(failedStep) ?? 0) + 1)
    if (isFailure(kind)) all.failures.add(kind, record)
  }
}

function isFailure(kind: OutcomeKind): boolean {
  return kind !== 'success' && kind !== 'cancelled'
}
