import type { QueueState } from '../store/queue/write-queue.js'
import { Histogram } from '../threads/histogram.js'
import { type WorkerFigures, WRITE_BOUNDS } from '../threads/messages.js'

/** Counts what a worker does. */
export class Figures {
  outputBytes = 0
  private writes = 0
  private readonly batches = new Histogram(WRITE_BOUNDS)
  private restartsTold = 0
  private told: QueueState = { memoryBytes: 0, diskBytes: 0, awayMs: 0 }

  /** The store has taken so many writes. */
  stored(writes: number, ms: number): void {
    this.writes += writes
    this.batches.observe(ms / 1000)
  }

  /** What is new since the last call; undefined where nothing is. `restarts`: see ProcessStarter. */
  take(queue: QueueState, restarts: number): WorkerFigures | undefined {
    const { outputBytes, writes, told } = this
    const launcherRestarts = restarts - this.restartsTold
    const isOld =
      told.memoryBytes === queue.memoryBytes && told.diskBytes === queue.diskBytes && told.awayMs === queue.awayMs
    if (isOld && outputBytes === 0 && writes === 0 && launcherRestarts === 0) return undefined
    this.outputBytes = 0
    this.writes = 0
    this.restartsTold = restarts
    this.told = queue
    return { ...queue, outputBytes, launcherRestarts, writes, batches: this.batches.take() }
  }
}
