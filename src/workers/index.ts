// Executions come over the port that this opens.
import './main-thread.js'

/** What else the pool of supervising threads can be asked to do, by name. */
export { readOutput, readRecord } from './execution/read-ended.js'
