// Opens the port over which executions come.
import './main-thread.js'

/** The tasks that the worker pool may run by name. */
export { readOutput, readRecord } from './execution/read-stored.js'
