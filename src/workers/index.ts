// Executions come over the link.
import './link.js'

/** What else the pool of supervising threads can be asked to do, by name. */
export { readOutput, readRecord } from './read-ended.js'
