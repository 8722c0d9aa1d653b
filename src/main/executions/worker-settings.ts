import type { AgentConfig } from '../../config/config.js'
import type { WorkerSettings } from '../../threads/messages.js'

/** The part of a configuration that the workers need. */
export function workerSettings({ maxOutputBytes, backlogBytes, workers, logLevel }: AgentConfig): WorkerSettings {
  return { maxOutputBytes, backlogBytes: Math.ceil(backlogBytes / workers), logLevel }
}
