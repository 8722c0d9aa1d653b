import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log/log.js'
import { platform } from '../../os/index.js'
import type { Executions } from './executions.js'
import { type KeptExecutions, keptExecutions } from './kept-executions.js'
import type { WorkerPool } from './worker-pool.js'

/** A launcher that is not free by then has died. */
const LIMIT_MS = 5_000
const LOOK_MS = 50

export interface RescueOptions {
  readonly executions: Executions
  readonly pool: WorkerPool
  /** Where the launchers are. */
  readonly scratchDir: string
  /** Stores the writes that a dead worker had on disk. */
  readonly replayQueues: (queuesId: string) => Promise<void>
  readonly log: Log
}

/** Has other workers supervise the async executions of workers that have died. Main thread only. */
export class Rescue {
  /** Those of dead workers that are not stored yet: they decide from which offset on an output is missing. */
  private queues: string[] = []
  private running: Promise<void> | undefined

  constructor(private readonly options: RescueOptions) {}

  /** Call in the turn in which the worker's executions learn of its death. */
  workerDied(queuesId: string): void {
    this.queues.push(queuesId)
    this.running ??= this.run().finally(() => {
      this.running = undefined
    })
  }

  private async run(): Promise<void> {
    const { executions, pool } = this.options
    await nextTurn()
    for (let deadline = performance.now() + LIMIT_MS; executions.orphans > 0; ) {
      // They are free once the last handle of the thread is closed.
      const free = pool.isReady ? await this.freeLaunchers() : []
      await this.replay()
      if (free.length > 0) {
        await executions.takeOver(free)
        deadline = performance.now() + LIMIT_MS
      } else if (performance.now() > deadline) {
        executions.giveUpOrphans()
      } else {
        await sleep(LOOK_MS)
      }
    }
    await this.replay()
  }

  /** Launchers without a worker, all of whose executions are known to have none. */
  private async freeLaunchers(): Promise<KeptExecutions[]> {
    const { executions, scratchDir, log } = this.options
    const free: KeptExecutions[] = []
    for (const kept of await keptExecutions(await platform.keptLaunchers(scratchDir), log)) {
      if (kept.executions.some(({ note }) => executions.isSupervised(note.record.execution_id))) {
        await kept.launcher.leave()
      } else {
        free.push(kept)
      }
    }
    return free
  }

  private async replay(): Promise<void> {
    for (let queue = this.queues.pop(); queue; queue = this.queues.pop()) await this.options.replayQueues(queue)
  }
}
