import type { AgentConfig } from '../../config/config.js'
import type { AgentState } from '../../host/agent-state.js'
import type { ServiceManager } from '../../host/service-manager.js'
import type { Log } from '../../log/log.js'
import type { Closers } from './closers.js'

/** What every phase of a start uses. */
export interface StartContext {
  readonly config: AgentConfig
  readonly log: Log
  readonly state: AgentState
  readonly service: ServiceManager
  readonly closers: Closers
}
