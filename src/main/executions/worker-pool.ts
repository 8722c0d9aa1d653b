import { once } from 'node:events'
import { Piscina } from 'piscina'
import { StartRefused } from '../../host/start-refused.js'
import type {
  ExecuteTask,
  FromStore,
  LaunchSpec,
  OutputPart,
  ReadOutputTask,
  ReadRecordTask,
  ThreadHello,
  WorkerSettings,
  WorkerSetup,
} from '../../threads/messages.js'
import { Patience } from '../../time/patience.js'
import { type TaskListener, Worker, type WorkerTask } from './worker.js'

const WORKER = new URL('../../workers/index.js', import.meta.url).href
/** More reads than callers wait for at once. */
const UNLIMITED = 1_000_000
/** For as long a start goes on without any movement, and in all. */
const STILL_LIMIT_MS = 15_000
const START_LIMIT_MS = 600_000
/** Processor time that a process which only waits does not use in STILL_LIMIT_MS. */
const MOVEMENT_MS = 250
/** A worker waits for its launcher first (LEAVE_LIMIT_MS in launcher.c: 5.5 s), then brings its writes to the disk. */
const CLOSE_LIMIT_MS = 8_000

/**
 * The threads that supervise processes; the event loop of each serves many executions. Piscina keeps their number, and
 * has them read from the store. Executions go over a link to each: a task of Piscina's, with a port of its own for what
 * is said meanwhile, costs this thread more than all the rest it does for a short execution. Main thread only.
 */
export class WorkerPool {
  private readonly pool: Piscina
  private readonly threads = new Set<Worker>()
  private settings: WorkerSettings
  private closing = false

  constructor(
    private readonly size: number,
    setup: WorkerSetup,
    /** A thread has died and been replaced; `queueId` names the writes it leaves behind. */
    private readonly threadDied: (queueId: string) => void,
  ) {
    this.settings = setup.settings
    this.pool = new Piscina({
      filename: WORKER,
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

  /**
   * Resolves when every thread is ready, however long that takes while anything moves. Rejects when one cannot load,
   * since piscina would let its tasks hang, and with StartRefused when nothing has moved for some time.
   */
  async started(): Promise<void> {
    const begun = performance.now()
    const givenUp = new AbortController()
    const patience = new Patience(STILL_LIMIT_MS, () => givenUp.abort(), this.movement())
    try {
      while (this.threads.size < this.size) await once(this.pool, 'message', givenUp)
    } catch (error) {
      if (!givenUp.signal.aborted) throw error
      const seconds = Math.round((performance.now() - begun) / 1000)
      throw new StartRefused(
        `${this.size - this.threads.size} of ${this.size} worker threads are not ready after ${seconds} s, and nothing has ` +
          `moved for ${STILL_LIMIT_MS / 1000} s; see what holds this machine up, or give fewer workers`,
      )
    } finally {
      patience.end()
    }
    this.pool.on('error', () => {
      // A thread that dies without tasks: nobody's error, and it is replaced.
    })
  }

  /** What the store refuses of what the threads write, where no retry will help; each once. */
  get problems(): string[] {
    return [...new Set([...this.threads].flatMap(({ refusedByStore }) => refusedByStore ?? []))]
  }

  /** Counts for the executions that come. */
  configure(settings: WorkerSettings): void {
    this.settings = settings
    for (const thread of this.threads) thread.configure(settings)
  }

  /** On the thread that has the fewest; undefined in the moment where all have died and no new one is ready. */
  execute(spec: LaunchSpec, task: ExecuteTask, listener: TaskListener): WorkerTask | undefined {
    let idlest: Worker | undefined
    for (const thread of this.threads) if (!idlest || thread.load < idlest.load) idlest = thread
    return idlest?.execute(spec, task, listener)
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
    const threads = [...this.threads]
    for (const thread of threads) thread.close()
    const closed = Promise.all(threads.map((thread) => thread.closed))
    await new Promise<void>((resolve) => {
      // A thread that has been stopped together with this one is not ended in the middle of its last writes.
      const patience = new Patience(CLOSE_LIMIT_MS, resolve)
      void closed.then(() => {
        patience.end()
        resolve()
      })
    })
    await this.pool.destroy()
  }

  /** Tells whether since it was last asked a thread has become ready, or they all have used some processor time. */
  private movement(): () => boolean {
    const used = () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1000
    }
    const end = performance.now() + START_LIMIT_MS
    let [ready, usedMs] = [this.threads.size, used()]
    return () => {
      if (performance.now() > end) return false
      const [readyNow, usedNow] = [this.threads.size, used()]
      if (readyNow === ready && usedNow - usedMs < MOVEMENT_MS) return false
      ready = readyNow
      usedMs = usedNow
      return true
    }
  }

  private welcome(hello: ThreadHello): void {
    const thread = new Worker(hello)
    // One that replaces another knows those of the start.
    thread.configure(this.settings)
    this.threads.add(thread)
    void thread.closed.then(() => {
      this.threads.delete(thread)
      if (!this.closing) this.threadDied(hello.queueId)
    })
  }
}
