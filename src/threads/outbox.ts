import type { MessagePort } from 'node:worker_threads'

/** With this many messages waiting they are sent at once, so that the receiver starts while this turn goes on. */
const AT_MOST = 32
/** How long a message that is in no hurry waits for others. */
const HOLD_MS = 10

/**
 * Batches messages to another thread: one postMessage for each turn of the event loop. A postMessage for each message
 * would cost both threads more than the rest of a short execution.
 */
export class Outbox<Message> {
  private waiting: Message[] = []
  private transfer: ArrayBuffer[] = []

  /** Flushes at the end of this turn. */
  private due: NodeJS.Immediate | undefined
  /** Flushes what is held. */
  private timer: NodeJS.Timeout | undefined

  constructor(private readonly port: MessagePort) {}

  /** `transfer`: memory that is moved, not copied. */
  send(message: Message, transfer?: readonly ArrayBuffer[]): void {
    this.waiting.push(message)
    if (transfer) this.transfer.push(...transfer)
    if (this.waiting.length >= AT_MOST) this.flush()
    else this.due ??= setImmediate(this.flush)
  }

  /**
   * Sends the message with the next one, or after HOLD_MS: to wake the other thread costs both more than to handle it.
   */
  hold(message: Message): void {
    this.waiting.push(message)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.flush()
    }, HOLD_MS)
  }

  /** Sends the waiting messages now. */
  readonly flush = (): void => {
    // Else the event loop would turn once more for nothing.
    clearImmediate(this.due)
    this.due = undefined
    const { waiting, transfer } = this
    if (waiting.length === 0) return
    this.waiting = []
    this.transfer = []
    this.port.postMessage(waiting, transfer)
  }
}
