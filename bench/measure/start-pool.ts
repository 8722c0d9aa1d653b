import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { makeTempDir } from '../../harness/agent.js'
import { platform } from '../../src/os/index.js'
import type { Isolation } from '../../src/os/platform.js'
import { holdMemory } from './held-memory.js'
import type { StartAnswer, StartRate, StartTask, StartWorkerSetup } from './start-worker.js'

const WORKER = new URL('./start-worker.js', import.meta.url)
/** Of all threads together. */
const IN_FLIGHT = 8
/** As configured by default. */
const MAX_PROCESSES = 4096

/** Worker threads that start processes as the agent's do, one for each core. */
export class StartPool {
  private constructor(
    readonly isolation: Isolation,
    private readonly workers: readonly Worker[],
  ) {}

  /** `heapMb`: memory that each thread holds, this one included. */
  static async open(heapMb = 0): Promise<StartPool> {
    holdMemory(heapMb)
    const dir = makeTempDir('flux-agent-bench-')
    const scratchDir = join(dir, 'run')
    mkdirSync(scratchDir)
    const isolation = await platform.isolate({
      stateDir: dir,
      scratchDir,
      noNewPrivileges: true,
      maxProcesses: MAX_PROCESSES,
      oomKill: 'execution',
      surviveMs: 0,
    })
    if (isolation.starter.kind !== 'launcher') throw new Error(isolation.problem ?? 'there is no launcher here')
    const workerData: StartWorkerSetup = {
      starters: [isolation.starter, { kind: 'child_process', scratchDir }],
      heapMb,
    }
    // As in the agent's pool: sockets close the descriptors they were given.
    const options = { workerData, trackUnmanagedFds: false }
    const workers = Array.from({ length: availableParallelism() }, () => new Worker(WORKER, options))
    await Promise.all(workers.map(answerOf))
    return new StartPool(isolation, workers)
  }

  /** Starts per second of all threads together. Rejects where a start ended unexpectedly. */
  async measure(task: Omit<StartTask, 'inFlight'>): Promise<StartRate> {
    const inFlight = Math.max(1, Math.round(IN_FLIGHT / this.workers.length))
    const answers = await Promise.all(
      this.workers.map((worker) => {
        worker.postMessage({ ...task, inFlight } satisfies StartTask)
        return answerOf(worker)
      }),
    )
    let starts = 0
    let perSecond = 0
    for (const answer of answers) {
      if (answer.kind !== 'rate')
        throw new Error(answer.kind === 'failed' ? answer.error : `a thread answers "${answer.kind}"`)
      starts += answer.starts
      perSecond += answer.perSecond
    }
    return { starts, perSecond }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.workers.map((worker) => {
        worker.postMessage('close')
        return answerOf(worker)
      }),
    )
    platform.release(this.isolation)
  }
}

async function answerOf(worker: Worker): Promise<StartAnswer> {
  const [answer] = await once(worker, 'message')
  return answer
}
