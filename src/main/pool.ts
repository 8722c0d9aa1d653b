import { once } from 'node:events'
import type { MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type {
  ExecuteTask,
  FromStore,
  OutputPart,
  ReadOutputTask,
  ReadRecordTask,
  ThreadHello,
  ToThread,
  WorkerSetup,
} from '../workers/messages.js'

const SUPERVISOR = new URL('../workers/index.js', import.meta.url).href
/** More executions than a node can hold: admission is what limits them. */
const UNLIMITED = 1_000_000
const START_LIMIT_MS = 15_000
const CLOSE_LIMIT_MS = 5_000

/** The threads that supervise processes. The event loop of each serves many executions. Main thread only. */
export class SupervisorPool {
  private readonly pool: Piscina
  private readonly threads = new Set<MessagePort>()
  private closing = false

  constructor(
    private readonly size: number,
    setup: WorkerSetup,
    /** A thread has died and been replaced; `queueId` names the writes it leaves behind. */
    private readonly threadDied: (queueId: string) => void,
  ) {
    this.pool = new Piscina({
      filename: SUPERVISOR,
      minThreads: size,
      maxThreads: size,
      concurrentTasksPerWorker: UNLIMITED,
      // 'sync' would freeze a thread between tasks, with its timers, its ports and its processes' pipes.
      atomics: 'async',
      // A descriptor handed to a socket is closed by that: Node would close its number once more when the thread ends,
      // whoever's it is by then.
      trackUnmanagedFds: false,
      workerData: setup,
      recordTiming: false,
      workerHistogram: false,
    })
    this.pool.on('message', (hello: ThreadHello) => this.welcome(hello))
  }

  /** Resolves when every thread is ready; rejects when one cannot load, since piscina would let its tasks hang. */
  async started(): Promise<void> {
    const signal = AbortSignal.timeout(START_LIMIT_MS)
    while (this.threads.size < this.size) await once(this.pool, 'message', { signal })
    this.pool.on('error', () => {
      // A thread that dies without tasks: nobody's error, and it is replaced.
    })
  }

  /** Rejects when the thread dies under it. */
  execute(task: ExecuteTask): Promise<void> {
    return this.pool.run(task, { name: 'execute', transferList: [task.port] })
  }

  readRecord(task: ReadRecordTask): Promise<FromStore<Uint8Array>> {
    return this.pool.run(task, { name: 'readRecord' })
  }

  readOutput(task: ReadOutputTask): Promise<FromStore<OutputPart>> {
    return this.pool.run(task, { name: 'readOutput' })
  }

  /** Has every thread keep its unstored writes, then ends them. Call when no execution is left. */
  async close(): Promise<void> {
    this.closing = true
    const signal = AbortSignal.timeout(CLOSE_LIMIT_MS)
    await Promise.all(
      [...this.threads].map(async (port) => {
        port.postMessage({ kind: 'close' } satisfies ToThread)
        await once(port, 'message', { signal }).catch(() => {})
      }),
    )
    await this.pool.destroy()
  }

  private welcome({ port, queueId }: ThreadHello): void {
    this.threads.add(port)
    port.on('close', () => {
      this.threads.delete(port)
      if (!this.closing) this.threadDied(queueId)
    })
    port.unref()
  }
}
