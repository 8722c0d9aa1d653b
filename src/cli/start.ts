import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadedConfig } from '../config/load.js'
import { AgentState } from '../host/agent-state.js'
import { ServiceManager } from '../host/service-manager.js'
import { createLog, type Log } from '../log/log.js'
import { type RunningAgent, startAgent } from '../main/index.js'
import { logReload } from '../main/reload.js'
import { Closers } from '../main/start/closers.js'
import { platform } from '../os/index.js'
import { systemFailure } from '../os/system-failure.js'
import { transactions } from '../store/embedded/under-way.js'
import { loadNamedConfig } from './named-config.js'

/** How long a start that is stopped halfway may take to close what it has opened. */
const CLOSE_LIMIT_MS = 5_000

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
  let hasDefect = false
  process.on('uncaughtException', (error) => {
    log?.fatal({ err: error }, 'a defect ends the agent')
    hasDefect = true
    process.exit(1)
  })
  // After the log's, which writes the last lines. After a defect workers may be in the middle of a transaction, too.
  process.on('exit', () => {
    if (config.store.kind === 'embedded' && (hasDefect || transactions.underWay > 0)) exitInTransaction()
  })
  for (const warning of warnings) log.warn(warning)
  const opened = new Closers()
  let stopped = false
  const stop = async (reason: string) => {
    if (agent) await agent.stop(reason)
    else {
      log?.info({ reason }, 'stopped before it served')
      stopped = true
      await Promise.race([opened.close().catch(() => {}), sleep(CLOSE_LIMIT_MS)])
    }
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
  agent = await startAgent(config, log, state, service, opened).catch(async (error: unknown) => {
    if (stopped) return new Promise<never>(() => {})
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

/**
 * process.exit would wait for ever for the embedded store's thread, which waits for the JavaScript of the transaction, or
 * crash. What is committed is safe.
 */
function exitInTransaction(): void {
  process.kill(process.pid, 'SIGKILL')
}

async function load(options: { config?: string }, service: ServiceManager): Promise<LoadedConfig> {
  try {
    return loadNamedConfig(options)
  } catch (error) {
    await service.failed(error as Error)
    throw error
  }
}
