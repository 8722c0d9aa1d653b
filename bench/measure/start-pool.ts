import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { makeTempDir } from '../../harness/agent.js'
import { platform } from '../../src/os/index.js'
import { FUNCTIONS_DIR, HOMES_DIR, type Isolation, type RunAs, type Separation } from '../../src/os/platform.js'
import type { FunctionUsers } from '../../src/threads/messages.js'
import { holdMemory } from './held-memory.js'
import type { StartAnswer, StartRate, StartTask, StartUser, StartWorkerSetup } from './start-worker.js'

const WORKER = new URL('./start-worker.js', import.meta.url)
/** Of all threads together. */
const IN_FLIGHT = 8
/** As configured by default. */
const MAX_PROCESSES = 4096
const TMP_BYTES = 2 ** 30
const FUNCTION = 'bench'
/** Nobody's: of the node, and of the function. */
const [SHARED_UID, FUNCTION_UID] = [2_099_999_998, 2_099_999_999]

/** Whose processes: the agent's user's, the one user's of all functions, or those of a function with a sandbox. */
export interface PoolTask extends Omit<StartTask, 'inFlight' | 'user'> {
  readonly users?: FunctionUsers['kind']
}

/** Why nothing can be started as another user, or in a sandbox. */
export function noSeparateStarts(): string | undefined {
  return platform.inspectIsolation().notSeparate
}

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
      ...(noSeparateStarts() === undefined && { separation: separationIn(dir) }),
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
  async measure({ users = 'agent', ...task }: PoolTask): Promise<StartRate> {
    const inFlight = Math.max(1, Math.round(IN_FLIGHT / this.workers.length))
    const answers = await Promise.all(
      this.workers.map((worker) => {
        worker.postMessage({ ...task, inFlight, user: startUser(users) } satisfies StartTask)
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

/** Makes what the sandbox of one function is made of. */
function separationIn(stateDir: string): Separation {
  const home = join(stateDir, FUNCTIONS_DIR, HOMES_DIR, FUNCTION)
  const appsDir = join(stateDir, 'apps')
  for (const folder of [home, join(appsDir, FUNCTION)]) mkdirSync(folder, { recursive: true })
  chownSync(home, FUNCTION_UID, FUNCTION_UID)
  chmodSync(stateDir, 0o711)
  return { runAs: userWith(SHARED_UID), appsDir, stateDir, tmpBytes: TMP_BYTES, diskBytes: 0, network: 'host' }
}

function startUser(users: FunctionUsers['kind']): StartUser {
  switch (users) {
    case 'agent':
      return {}
    case 'shared':
      return { runAs: userWith(SHARED_UID) }
    case 'separate':
      return { runAs: userWith(FUNCTION_UID), sandbox: FUNCTION }
  }
}

function userWith(uid: number): RunAs {
  return { name: 'flux-bench', uid, gid: uid, home: homedir(), groups: [] }
}

async function answerOf(worker: Worker): Promise<StartAnswer> {
  const [answer] = await once(worker, 'message')
  return answer
}
