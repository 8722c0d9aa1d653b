import { once } from 'node:events'
import { Piscina } from 'piscina'
import { StartRefused } from '../../host/start-refused.js'
import { installation } from '../../installation.js'
import type { QueueState } from '../../store/queue/write-queue.js'
import type {
  ExecuteTask,
  FromStore,
  LaunchSpec,
  OutputPart,
  ReadOutputTask,
  ReadRecordTask,
  ThreadHello,
  WorkerFigures,
  WorkerSettings,
  WorkerSetup,
} from '../../threads/messages.js'
import type { StoreWanted } from '../../threads/store-calls.js'
import { Patience } from '../../time/patience.js'
import { StoreLinks } from './store-links.js'
import { type Adoption, type TaskListener, Worker, type WorkerTask } from './worker.js'

/** More tasks than will ever be pending. */
const UNLIMITED = 1_000_000
/** A start is given up after STILL_LIMIT_MS without progress, and after START_LIMIT_MS in any case. */
const STILL_LIMIT_MS = 15_000
const START_LIMIT_MS = 600_000
/** Processor time in STILL_LIMIT_MS that counts as progress. */
const MOVEMENT_MS = 250
/** A worker waits for its launcher first (LEAVE_LIMIT_MS in launcher.c: 5.5 s), then brings its writes to the disk. */
const CLOSE_LIMIT_MS = 8_000

/** Workers share the processor with functions, so that a few seconds say nothing; see Worker.standsStill. */
const PING_MS = 5_000

export const ALL_DEAD = 'every worker thread is being replaced: try again'

/**
 * The workers: threads that supervise processes, each with an event loop for many executions. Piscina restarts dead
 * ones and runs reads from the store. Executions go over a port to each: a Piscina task with a port of its own would
 * cost this thread more than everything else it does for a short execution. Main thread only.
 */
export class WorkerPool {
  private readonly pool: Piscina
  private readonly threads = new Set<Worker>()
  private readonly storeLinks = new StoreLinks()
  private settings: WorkerSettings
  private closing = false
  private readonly pings = setInterval(() => this.ping(), PING_MS).unref()

  constructor(
    private readonly size: number,
    setup: WorkerSetup,
    /** A thread has died and is replaced; `queuesId` names its unstored writes. */
    private readonly threadDied: (queuesId: string) => void,
    /** Called with what workers have counted. */
    private readonly told?: (figures: WorkerFigures) => void,
  ) {
    this.settings = setup.settings
    this.pool = new Piscina({
      filename: installation.worker,
      // Without the name of a function in it, each thread would load the file a second time, as an ES module.
      name: 'readRecord',
      minThreads: size,
      maxThreads: size,
      concurrentTasksPerWorker: UNLIMITED,
      // 'sync' would freeze an idle thread, with its timers, ports and pipes.
      atomics: 'async',
      // A socket closes the descriptor it was given. Node would close the same number again when the thread ends, when
      // it may belong to something else.
      trackUnmanagedFds: false,
      workerData: setup,
      recordTiming: false,
      workerHistogram: false,
    })
    this.pool.on('error', () => {
      // A thread that dies while idle is replaced. `started` has a listener of its own.
    })
    this.pool.on('message', (message: StoreWanted | ThreadHello) => {
      if (message.kind === 'hello') this.welcome(message)
      else this.storeLinks.add(message.port)
    })
  }

  /**
   * Resolves when every worker is ready. Takes as long as there is progress. Rejects where one cannot load, as Piscina
   * would let its tasks hang, and with StartRefused without progress.
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
  }

  /** What an operator should know: why the store refuses writes for good, or workers do nothing. Each reason once. */
  get problems(): string[] {
    const refused = [...this.threads].flatMap(({ refusedByStore }) => refusedByStore ?? [])
    const some = this.still > 0 ? [`${this.still} of ${this.threads.size} worker threads stand still`] : []
    return [...new Set([...refused, ...(this.obstacle === undefined ? some : [this.obstacle])])]
  }

  /** Why no worker can take an execution; undefined where one can. */
  get obstacle(): string | undefined {
    if (!this.isReady) return ALL_DEAD
    return this.still === this.threads.size ? 'every worker thread stands still' : undefined
  }

  private get still(): number {
    let count = 0
    for (const { standsStill } of this.threads) if (standsStill) count++
    return count
  }

  /** What waits for the store at the workers, where that is counted. */
  get queues(): QueueState[] {
    return [...this.threads].flatMap(({ queue }) => queue ?? [])
  }

  /** Workers that are ready. */
  get ready(): number {
    return this.threads.size
  }

  /** Applies to the executions that follow. */
  configure(settings: WorkerSettings): void {
    this.settings = settings
    for (const thread of this.threads) thread.configure(settings)
  }

  /** Whether a worker is ready. */
  get isReady(): boolean {
    return this.threads.size > 0
  }

  /** Runs an execution on the worker with the fewest; undefined while all have died and none is ready. */
  execute(spec: LaunchSpec, task: ExecuteTask, listener: TaskListener): WorkerTask | undefined {
    return this.idlest()?.execute(spec, task, listener)
  }

  /** Has the worker with the fewest executions take over a launcher with its own; undefined as for `execute`. */
  adopt(launcher: string, executions: readonly Adoption[]): WorkerTask[] | undefined {
    return this.idlest()?.adopt(launcher, executions)
  }

  readRecord(task: ReadRecordTask): Promise<FromStore<Uint8Array>> {
    return this.pool.run(task, { name: 'readRecord' })
  }

  readOutput(task: ReadOutputTask): Promise<FromStore<OutputPart>> {
    return this.pool.run(task, { name: 'readOutput' })
  }

  /** Has every worker put its unstored writes on disk, then ends them. `handOver`: see ToThread. */
  async close(handOver: boolean): Promise<void> {
    this.closing = true
    clearInterval(this.pings)
    const threads = [...this.threads]
    for (const thread of threads) thread.close(handOver)
    const closed = Promise.all(threads.map((thread) => thread.closed))
    await new Promise<void>((resolve) => {
      // After a pause (SIGSTOP) the workers still get their time for the last writes.
      const patience = new Patience(CLOSE_LIMIT_MS, resolve)
      void closed.then(() => {
        patience.end()
        resolve()
      })
    })
    await this.pool.destroy()
  }

  private ping(): void {
    for (const thread of this.threads) thread.ping()
  }

  private idlest(): Worker | undefined {
    let idlest: Worker | undefined
    for (const thread of this.threads) if (!idlest || thread.load < idlest.load) idlest = thread
    return idlest
  }

  /**
   * Answers a function that tells whether a worker has become ready, or processor time was used, since it was last
   * called.
   */
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
    const thread = new Worker(hello, this.told)
    // A replacement knows only the settings of the start.
    thread.configure(this.settings)
    this.threads.add(thread)
    void thread.closed.then(() => {
      this.threads.delete(thread)
      if (!this.closing) this.threadDied(hello.queuesId)
    })
  }
}
