// Executions come over the link.
import './task-channel.js'

/** What else the pool of supervising threads can be asked to do, by name. */
export { readOutput, readRecord } from './execution/read-ended.js'
