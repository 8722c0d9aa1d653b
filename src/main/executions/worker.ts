import type { QueueState } from '../../store/queue/write-queue.js'
import type {
  AdoptTask,
  ExecuteTask,
  FromExecution,
  FromThread,
  LaunchSpec,
  ThreadHello,
  ToExecution,
  ToThread,
  WorkerFigures,
  WorkerSettings,
} from '../../threads/messages.js'
import { Outbox } from '../../threads/outbox.js'

/** A worker that lets so many intervals pass stands still. */
const PINGS_MAX = 5

/** Receives what a worker says of a task. */
export interface TaskListener {
  receive(message: FromExecution): void
  /** Nothing is left to do. Called last. */
  settled(): void
  /** Its worker has died, or has met a defect. Called last. */
  failed(error: Error): void
}

/** The main thread's end of a task on a worker. */
export interface WorkerTask {
  /** Ignored once nothing more is heard of the task. */
  send(message: ToExecution): void
}

/** An execution to take over. */
export interface Adoption {
  readonly task: AdoptTask
  readonly listener: TaskListener
}

class Task implements WorkerTask {
  constructor(
    private readonly outbox: Outbox<ToThread>,
    readonly number: number,
  ) {}

  send(message: ToExecution): void {
    this.outbox.send({ kind: 'message', number: this.number, message })
    // A kill does not wait for the rest of this turn.
    if (message.kind === 'kill') this.outbox.flush()
  }
}

/** The main thread's end of a worker, from its hello until it dies. Main thread only. */
export class Worker {
  /** Resolves when the worker has died or been closed. */
  readonly closed: Promise<void>
  private readonly tasks = new Map<number, TaskListener>()
  private readonly outbox: Outbox<ToThread>
  /** The specs that the worker has, by function name. */
  private readonly specs = new Map<string, LaunchSpec>()
  private lastNumber = 0
  private refused: string | undefined
  /** How often it was asked for a sign of life since it gave one. */
  private unanswered = 0
  private figures: WorkerFigures | undefined

  /** `told`: called with the worker's figures, where it counts. */
  constructor(
    readonly hello: ThreadHello,
    private readonly told: (figures: WorkerFigures) => void = () => {},
  ) {
    const { port } = hello
    this.outbox = new Outbox(port)
    this.closed = new Promise((resolve) => {
      port.on('message', (messages: readonly FromThread[]) => {
        for (const message of messages) {
          if (message.kind === 'closed') resolve()
          else this.receive(message)
        }
      })
      // Its earlier messages have arrived.
      port.once('close', () => {
        resolve()
        for (const number of [...this.tasks.keys()]) this.end(number, new Error('it died'))
      })
    })
    port.unref()
  }

  /** Why the store refuses the worker's writes, where no retry will help. */
  get refusedByStore(): string | undefined {
    return this.refused
  }

  /** What waits there for the store; undefined where it is not counted, or there was nothing yet. */
  get queue(): QueueState | undefined {
    return this.figures
  }

  /** Tasks that are not settled. */
  get load(): number {
    return this.tasks.size
  }

  /** Asks for a sign of life; to be called in regular intervals. */
  ping(): void {
    if (this.unanswered === 0) this.outbox.send({ kind: 'ping' })
    this.unanswered++
  }

  /**
   * Whether it gave no sign of life in PINGS_MAX intervals. They are counted instead of measured, since all of the agent
   * may have stood still.
   */
  get standsStill(): boolean {
    return this.unanswered > PINGS_MAX
  }

  configure(settings: WorkerSettings): void {
    this.outbox.send({ kind: 'settings', settings })
  }

  execute(spec: LaunchSpec, task: ExecuteTask, listener: TaskListener): WorkerTask {
    if (this.specs.get(task.functionName) !== spec) {
      this.specs.set(task.functionName, spec)
      this.outbox.send({ kind: 'launch spec', spec })
    }
    const opened = this.open(listener)
    this.outbox.send({ kind: 'execute', number: opened.number, task })
    // It waits, and nobody else is there to share the message.
    if (this.tasks.size === 1) this.outbox.flush()
    return opened
  }

  /** Has the worker take over a launcher with its executions; answers their tasks, in that order. */
  adopt(launcher: string, executions: readonly Adoption[]): WorkerTask[] {
    const opened = executions.map(({ listener }) => this.open(listener))
    this.outbox.send({
      kind: 'adopt',
      launcher,
      executions: executions.map(({ task }, at) => ({ number: (opened[at] as Task).number, task })),
    })
    return opened
  }

  /** Has the worker put its unstored writes on disk; `closed` resolves when that is done. `handOver`: see ToThread. */
  close(handOver: boolean): void {
    // Keeps this process alive until then.
    this.hello.port.ref()
    this.outbox.send({ kind: 'close', handOver })
    this.outbox.flush()
  }

  private open(listener: TaskListener): Task {
    const task = new Task(this.outbox, ++this.lastNumber)
    this.tasks.set(task.number, listener)
    return task
  }

  private receive(message: Exclude<FromThread, { readonly kind: 'closed' }>): void {
    switch (message.kind) {
      case 'message':
        this.tasks.get(message.number)?.receive(message.message)
        break
      case 'settled':
        this.end(message.number)
        break
      case 'failed':
        this.end(message.number, new Error(message.error))
        break
      case 'pong':
        this.unanswered = 0
        break
      case 'store':
        this.refused = message.refuses
        break
      case 'figures':
        this.figures = message.figures
        this.told(message.figures)
        break
    }
  }

  private end(number: number, error?: Error): void {
    const listener = this.tasks.get(number)
    this.tasks.delete(number)
    if (error) listener?.failed(error)
    else listener?.settled()
  }
}
