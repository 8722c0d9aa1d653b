// Executions come over the port that this opens.
import './main-thread.js'

/** What else the pool of workers can be asked to do, by name. */
export { readOutput, readRecord } from './execution/read-stored.js'
