import type {
  ExecuteTask,
  FromExecution,
  FromThread,
  LaunchSpec,
  ThreadHello,
  ToExecution,
  ToThread,
  WorkerSettings,
} from '../../threads/messages.js'
import { Outbox } from '../../threads/outbox.js'

/** What hears of a task. */
export interface TaskListener {
  receive(message: FromExecution): void
  /** Nothing more will be heard, nor answered: the task has settled, or its thread has died. */
  detached(): void
}

/** The main thread's end of a task on a worker. */
export interface WorkerTask {
  send(message: ToExecution): void
  /** Resolves when nothing of it is left to do; rejects when its thread dies under it. */
  readonly settled: Promise<void>
}

interface Supervision {
  readonly listener: TaskListener
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** The main thread's end of a thread that supervises executions, from its hello until it dies. */
export class Worker {
  /** Resolves when it has died or been closed. */
  readonly closed: Promise<void>
  private readonly tasks = new Map<number, Supervision>()
  private readonly outbox: Outbox<ToThread>
  /** What it has been told, by the function's name. */
  private readonly specs = new Map<string, LaunchSpec>()
  private lastNumber = 0
  private refused: string | undefined

  constructor(readonly hello: ThreadHello) {
    const { port } = hello
    this.outbox = new Outbox(port)
    this.closed = new Promise((resolve) => {
      port.on('message', (messages: readonly FromThread[]) => {
        for (const message of messages) {
          if (message.kind === 'closed') resolve()
          else this.receive(message)
        }
      })
      // All that it said before has been heard.
      port.once('close', () => {
        resolve()
        for (const number of [...this.tasks.keys()]) this.end(number, new Error('it has died'))
      })
    })
    port.unref()
  }

  /** What the store refuses of its writes, where no retry will help. */
  get refusedByStore(): string | undefined {
    return this.refused
  }

  /** How many tasks it has. */
  get load(): number {
    return this.tasks.size
  }

  configure(settings: WorkerSettings): void {
    this.outbox.send({ kind: 'settings', settings })
  }

  execute(spec: LaunchSpec, task: ExecuteTask, listener: TaskListener): WorkerTask {
    if (this.specs.get(task.functionName) !== spec) {
      this.specs.set(task.functionName, spec)
      this.outbox.send({ kind: 'launch spec', spec })
    }
    const number = ++this.lastNumber
    const settled = new Promise<void>((resolve, reject) => {
      this.tasks.set(number, { listener, resolve, reject })
    })
    this.outbox.send({ kind: 'execute', number, task })
    const send = (message: ToExecution) => {
      this.outbox.send({ kind: 'message', number, message })
      // A kill does not wait for what else there is in this turn.
      if (message.kind === 'kill') this.outbox.flush()
    }
    return { send, settled }
  }

  /** Has it keep its unstored writes; it is `gone` when that is done. */
  close(): void {
    // Nothing else may be left that keeps this process from ending.
    this.hello.port.ref()
    this.outbox.send({ kind: 'close' })
    this.outbox.flush()
  }

  private receive(message: Exclude<FromThread, { readonly kind: 'closed' }>): void {
    switch (message.kind) {
      case 'message':
        this.tasks.get(message.number)?.listener.receive(message.message)
        break
      case 'settled':
        this.end(message.number)
        break
      case 'failed':
        this.end(message.number, new Error(message.error))
        break
      case 'store':
        this.refused = message.refuses
        break
    }
  }

  private end(number: number, error?: Error): void {
    const task = this.tasks.get(number)
    if (!task) return
    this.tasks.delete(number)
    task.listener.detached()
    if (error) task.reject(error)
    else task.resolve()
  }
}
