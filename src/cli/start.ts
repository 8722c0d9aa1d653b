import type { LoadedConfig } from '../config/load.js'
import { AgentState } from '../host/agent-state.js'
import { ServiceManager } from '../host/service-manager.js'
import { createLog, type Log } from '../log/log.js'
import { type RunningAgent, startAgent } from '../main/index.js'
import { logReload } from '../main/reload.js'
import { platform } from '../os/index.js'
import { systemFailure } from '../os/system-failure.js'
import { loadNamedConfig } from './named-config.js'

/** Runs the agent until SIGTERM or SIGINT; a second signal ends the drain. SIGHUP reloads the configuration. */
export async function start(options: { config?: string }): Promise<void> {
  let log: Log | undefined
  const state = new AgentState()
  const service = new ServiceManager(
    platform.takeServiceNotifier((problem) => log?.warn(problem)),
    state,
  )
  let agent: RunningAgent | undefined
  let reloadDue = false
  // Early: without a handler, SIGHUP would end the process.
  platform.onReloadRequest(() => {
    if (agent && log) logReload(log, agent.reload())
    else reloadDue = true
  })
  const { config, warnings } = await load(options, service)
  log = createLog(config.logLevel, { agent: config.agentId })
  process.on('uncaughtException', (error) => {
    log?.fatal({ err: error }, 'a defect ends the agent')
    process.exit(1)
  })
  for (const warning of warnings) log.warn(warning)
  const stop = async (reason: string) => {
    if (!agent) log?.info({ reason }, 'stopped before it served')
    await agent?.stop(reason)
    await service.close()
    process.exit(0)
  }
  // Early: a signal must stop an agent that has just begun to serve properly, and one that waits for its store at once.
  platform.onStopRequest((reason) => void stop(reason))
  process.on('SIGINT', (signal) => void stop(signal))
  platform.onHandoverRequest(async (reason) => {
    await (agent ? agent.handOver(reason) : stop(reason))
    await service.close()
    process.exit(0)
  })
  agent = await startAgent(config, log, state, service).catch(async (error: unknown) => {
    // Errors with a code are for the operator to fix; others are defects, logged with their stack.
    const known = error instanceof Error && 'code' in error
    const message = systemFailure(error) ?? (error instanceof Error ? error.message : String(error))
    log?.fatal(known ? {} : { err: error }, `cannot start: ${message}`)
    await service.failed({ message, errno: (error as NodeJS.ErrnoException).errno })
    // Threads that have started would keep the process alive.
    process.exit(1)
  })
  // The file may have changed since the start read it.
  if (reloadDue) logReload(log, agent.reload())
}

async function load(options: { config?: string }, service: ServiceManager): Promise<LoadedConfig> {
  try {
    return loadNamedConfig(options)
  } catch (error) {
    await service.failed(error as Error)
    throw error
  }
}
