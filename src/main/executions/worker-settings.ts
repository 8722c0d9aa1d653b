import type { AgentConfig } from '../../config/config.js'
import type { WorkerSettings } from '../../threads/messages.js'

/** What the workers need to know of a configuration. */
export function workerSettings({ maxOutputBytes, backlogBytes, workers, logLevel }: AgentConfig): WorkerSettings {
  return { maxOutputBytes, backlogBytes: Math.ceil(backlogBytes / workers), logLevel }
}
