import type { FromExecution, FromThread, ToExecution } from '../../threads/messages.js'
import type { Outbox } from '../../threads/outbox.js'

/** Receives what the main thread says to an execution. */
export interface MessageListener {
  receive(message: ToExecution): void
}

/** A worker's end of one execution: messages to and from the main thread. */
export class TaskChannel {
  /** Set it within the execution's first turn of the event loop: earlier messages are lost. */
  listener: MessageListener | undefined

  constructor(
    private readonly outbox: Outbox<FromThread>,
    /** Identifies the execution at the main thread. */
    private readonly number: number,
  ) {}

  /** `transfer`: memory that is moved, not copied. */
  send(message: FromExecution, transfer?: readonly ArrayBuffer[]): void {
    this.outbox.send({ kind: 'message', number: this.number, message }, transfer)
  }

  /** For a message that is in no hurry. */
  hold(message: FromExecution): void {
    this.outbox.hold({ kind: 'message', number: this.number, message })
  }
}
