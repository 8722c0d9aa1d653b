import type { FromExecution, ToExecution } from '../../threads/messages.js'

/** A worker's end of one execution: what it tells the main thread, and what it hears. */
export class TaskChannel {
  /** Set it before the execution's first turn of the event loop is over: what comes before is lost. */
  receive: (message: ToExecution) => void = () => {}

  /** `transfer`: memory that is handed over, not copied. */
  constructor(readonly send: (message: FromExecution, transfer?: readonly ArrayBuffer[]) => void) {}
}
