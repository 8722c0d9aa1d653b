import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessEnd, ProcessListener, SupervisedProcess } from '../../os/platform.js'
import type { RecordEnd } from '../../store/queue/end-record.js'
import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { ExecutionRecord } from '../../store/record.js'
import type { ToExecution } from '../../threads/messages.js'
import { monotonicMs } from '../../time/monotonic.js'
import { figures, log } from '../thread.js'
import { Ending } from './ending.js'
import type { Bounds } from './outcome.js'
import type { Output } from './output.js'
import { Readers, type Send } from './readers.js'
import type { MessageListener, TaskChannel } from './task-channel.js'

/** How long a snapshot of an execution that has just ended waits for its record to be durable. */
const SHOW_PATIENCE_MS = 1_000

/** The end of an execution. */
interface Final {
  readonly record: ExecutionRecord
  /** Absent: it is not recorded. */
  readonly written: RecordEnd | undefined
}

/** One execution on this worker: hears the main thread and its process. */
export class Context implements MessageListener, ProcessListener {
  readonly ending = new Ending()
  /** Once it was asked to start. */
  process: SupervisedProcess | undefined
  /** Called when it has a slot. */
  go: () => void = () => {}
  private final: Final | undefined
  private isDurable = false
  /** Made on demand: few executions are read while they run. */
  private readers: Readers | undefined
  private resolveEnd: (end: ProcessEnd) => void = () => {}

  constructor(
    /** The record of its begin. */
    readonly begun: ExecutionRecord,
    readonly bounds: Bounds,
    /** Absolute path. */
    readonly program: string,
    readonly printed: Output,
    readonly channel: TaskChannel,
    /** Of an async one, for its writes to the store; a sync one is not recorded. */
    readonly queue?: WriteQueue,
  ) {
    channel.listener = this
  }

  /** Has the process begun; resolves with its end. */
  run(begin: (listener: ProcessListener) => SupervisedProcess): Promise<ProcessEnd> {
    const end = new Promise<ProcessEnd>((resolve) => {
      this.resolveEnd = resolve
    })
    const process = begin(this)
    this.process = process
    this.ending.whenCaused((cause) => process.kill(cause))
    return end
  }

  receive(message: ToExecution): void {
    switch (message.kind) {
      case 'go':
        this.go()
        break
      case 'kill':
        this.ending.end(message.cause)
        break
      case 'snapshot':
        void this.read().snapshot(message.request)
        break
      case 'read':
        void this.read().read(message.request, message.offset)
        break
      case 'unfollow':
        this.readers?.leave(message.request)
        break
    }
  }

  started(pid: number): void {
    this.channel.hold({ kind: 'started', pid, at: monotonicMs() })
    logPhase(this.begun, 'started', { pid })
  }

  output(chunk: Buffer): void {
    this.printed.push(chunk)
    if (figures) figures.outputBytes += chunk.length
    // Of an async one it is safe once it is in the store or on disk.
    if (!this.queue) this.process?.release(chunk.length)
  }

  ended(end: ProcessEnd): void {
    this.ending.close()
    this.resolveEnd(end)
  }

  /** Its outcome is decided, and is shown once it would survive this process. */
  conclude(final: Final): void {
    this.final = final
  }

  /** Has readers get the rest and the outcome, which would survive this process. Resolves when none is left. */
  async finishReaders(): Promise<void> {
    this.isDurable = true
    if (this.final) await this.readers?.end(this.final.record)
  }

  private read(): Readers {
    if (this.readers) return this.readers
    const send: Send = (message, transfer) => this.channel.send(message, transfer)
    const readers = new Readers(send, this.printed, () => this.shown())
    this.readers = readers
    if (this.isDurable && this.final) void readers.end(this.final.record)
    return readers
  }

  /** The record as readers may see it. */
  private async shown(): Promise<ExecutionRecord> {
    const { final, begun } = this
    if (!final) return begun
    return !final.written || (await soon(final.written.durable)) ? final.record : begun
  }
}

export function logPhase(
  { function_name, execution_id }: ExecutionRecord,
  phase: 'accepted' | 'taken over' | 'started' | 'ended',
  more: object,
): void {
  if (log.isLevelEnabled('debug'))
    log.debug({ function: function_name, execution: execution_id, ...more }, `execution ${phase}`)
}

/** Whether `event` happens within SHOW_PATIENCE_MS. */
function soon(event: Promise<void>): Promise<boolean> {
  return Promise.race([event.then(() => true), sleep(SHOW_PATIENCE_MS, false, { ref: false })])
}
