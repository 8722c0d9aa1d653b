import type { MessagePort } from 'node:worker_threads'

/** From so many on, the receiver begins while this thread is still busy with what else there is in its turn. */
const AT_MOST = 32

/**
 * One end of a port between threads: gathers what is said in one turn of the event loop. A message of its own for each
 * costs both threads more than all the rest that they have to do for a short execution.
 */
export class Outbox<Message> {
  private waiting: Message[] = []
  private transfer: ArrayBuffer[] = []

  constructor(private readonly port: MessagePort) {}

  /** `transfer`: memory that is handed over, not copied. */
  send(message: Message, transfer?: readonly ArrayBuffer[]): void {
    this.waiting.push(message)
    if (transfer) this.transfer.push(...transfer)
    if (this.waiting.length === 1) setImmediate(() => this.flush())
    else if (this.waiting.length >= AT_MOST) this.flush()
  }

  /** Sends what waits, at once. */
  flush(): void {
    const { waiting, transfer } = this
    if (waiting.length === 0) return
    this.waiting = []
    this.transfer = []
    this.port.postMessage(waiting, transfer)
  }
}
