import { Histogram } from '../../threads/histogram.js'
import { REFUSALS, type RefusalReason, type WorkerFigures, WRITE_BOUNDS } from '../../threads/messages.js'
import { ExecutionCounts } from './execution-counts.js'

/** Seconds. */
const DEPLOYS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120] as const
const DELAYS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

/** All that is counted since the start of the agent. Main thread only. */
export class Counts {
  readonly executions = new ExecutionCounts()
  readonly refusals = new Map<RefusalReason, number>(REFUSALS.map((reason) => [reason, 0]))
  readonly deploys = { done: 0, refused: 0 }
  readonly deployDuration = new Histogram(DEPLOYS)
  refusedCallers = 0
  workerDeaths = 0
  /** How late this thread's timers are, seconds. */
  readonly delay = new Histogram(DELAYS)

  /** What the workers have told. */
  outputBytes = 0
  launcherRestarts = 0
  storeWrites = 0
  readonly storeBatch = new Histogram(WRITE_BOUNDS)

  refused(reason: RefusalReason): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1)
  }

  deployed(outcome: 'done' | 'refused', ms: number): void {
    this.deploys[outcome]++
    this.deployDuration.observe(ms / 1000)
  }

  /** The store has taken a batch of so many writes. */
  stored(writes: number, ms: number): void {
    this.storeWrites += writes
    this.storeBatch.observe(ms / 1000)
  }

  told({ outputBytes, launcherRestarts, writes, batches }: WorkerFigures): void {
    this.outputBytes += outputBytes
    this.launcherRestarts += launcherRestarts
    this.storeWrites += writes
    this.storeBatch.add(batches)
  }
}
