/** What the pool of supervising workers can be asked to do, by name. */
export { execute } from './execute.js'
export { readOutput, readRecord } from './read-ended.js'
