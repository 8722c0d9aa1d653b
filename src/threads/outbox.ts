import type { MessagePort } from 'node:worker_threads'

/** With this many messages waiting they are sent at once, so that the receiver starts while this turn goes on. */
const AT_MOST = 32

/**
 * Batches messages to another thread: one postMessage for each turn of the event loop. A postMessage for each message
 * would cost both threads more than the rest of a short execution.
 */
export class Outbox<Message> {
  private waiting: Message[] = []
  private transfer: ArrayBuffer[] = []

  constructor(private readonly port: MessagePort) {}

  /** `transfer`: memory that is moved, not copied. */
  send(message: Message, transfer?: readonly ArrayBuffer[]): void {
    this.waiting.push(message)
    if (transfer) this.transfer.push(...transfer)
    if (this.waiting.length === 1) setImmediate(() => this.flush())
    else if (this.waiting.length >= AT_MOST) this.flush()
  }

  /** Sends the waiting messages now. */
  flush(): void {
    const { waiting, transfer } = this
    if (waiting.length === 0) return
    this.waiting = []
    this.transfer = []
    this.port.postMessage(waiting, transfer)
  }
}
