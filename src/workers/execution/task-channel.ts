import type { FromExecution, ToExecution } from '../../threads/messages.js'

/** A worker's end of one execution: messages to and from the main thread. */
export class TaskChannel {
  /** Set it within the execution's first turn of the event loop: earlier messages are lost. */
  receive: (message: ToExecution) => void = () => {}

  /** `transfer`: memory that is moved, not copied. */
  constructor(readonly send: (message: FromExecution, transfer?: readonly ArrayBuffer[]) => void) {}
}
