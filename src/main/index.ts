import type { AgentConfig } from '../config/config.js'
import type { AgentState } from '../host/agent-state.js'
import { boundTo, describeListener } from '../host/listener.js'
import type { ServiceManager } from '../host/service-manager.js'
import type { Log } from '../log/log.js'
import type { Store } from '../store/store.js'
import { VERSION } from '../version.js'
import { drain, handOver } from './executions/drain.js'
import { NodeDrain } from './executions/node-drain.js'
import { LiveConfig, type Reload } from './reload.js'
import { Closers } from './start/closers.js'
import type { StartContext } from './start/context.js'
import { factsOf } from './start/facts.js'
import { functionOf, prepareHost } from './start/prepare-host.js'
import { recoverStore } from './start/recover-store.js'
import { startExecutions } from './start/start-executions.js'
import { startFirewall } from './start/start-firewall.js'
import { startFunctions } from './start/start-functions.js'
import { startMetrics } from './start/start-metrics.js'
import { startServer } from './start/start-server.js'
import { startTracing } from './tracing/tracing.js'

const PURGE_MS = 60_000

export interface RunningAgent {
  /** The port it listens on. */
  readonly port: number
  /**
   * Stops: no new executions start; running ones get the configured time and are then killed and recorded as failed.
   * Resolves when nothing is left. A second call ends the waiting. `reason` is for the log.
   */
  stop(reason: string): Promise<void>
  /**
   * Ends at once, and leaves async executions running for the next agent; where they cannot outlive this one, stops
   * instead. Resolves when nothing is left to do. No effect once it stops.
   */
  handOver(reason: string): Promise<void>
  /** Reads the configuration again and applies what can change, at once. Blocks for some milliseconds. */
  reload(): Reload
}

/**
 * Starts the agent; resolves once it serves. Waits for the store without a limit. On failure it closes everything it
 * opened, then rejects: with StartRefused or a system error, which the operator can fix, or with a defect. Closing
 * `closers` meanwhile stops it: it then rejects with StartStopped. Main thread, once.
 */
export async function startAgent(
  config: AgentConfig,
  log: Log,
  state: AgentState,
  service: ServiceManager,
  closers = new Closers(),
): Promise<RunningAgent> {
  try {
    return await start({ config, log, state, service, closers })
  } catch (error) {
    await closers
      .close()
      .catch((failure: Error) =>
        log.warn({ cause: failure.message }, 'not everything could be closed after the failed start'),
      )
    throw error
  }
}

async function start(context: StartContext): Promise<RunningAgent> {
  const { config, log, state, service, closers } = context
  const host = await prepareHost(context)
  const firewall = await startFirewall(context, host)
  service.starting()
  const metrics = await startMetrics(context, host)
  const counts = metrics?.counts
  const recovered = await recoverStore(context, host)
  const { store, identity } = recovered
  const functions = await startFunctions(context, host, recovered)
  const { admission, registrations } = functions
  const tracing = config.traces && (await startTracing(config.traces, config.agentId, log))
  // Closed after the executions, so that it has their last spans.
  closers.add(() => tracing?.close())
  const execution = await startExecutions(context, host, recovered, functions, counts, tracing)
  const { executions, pool, addresses } = execution
  const problems = () => [...new Set([...identity.problems, ...pool.problems])]
  const obstacle = () => identity.lost ?? pool.obstacle
  const nodeDrain = new NodeDrain(config.stateDir, admission, state, log)
  nodeDrain.restore()
  const ours = { agentId: config.agentId, state, nodeDrain, problems, counts, tracing }
  const services = { ...ours, admission, registrations, identity, ...execution }
  const { listener, callers } = await startServer(context, host, services)
  await firewall?.serving([boundTo(listener).port, ...(metrics ? [metrics.port] : [])], addresses)
  closers.add(purgeRegularly(store, log))
  log.info({ ...boundTo(listener), store: store.address, apps: host.appsDir, version: VERSION }, 'serving')
  const live = new LiveConfig(config, functionOf(host.users), {
    log,
    ...host,
    firewall,
    callers,
    ...functions,
    ...execution,
  })
  metrics?.serve({
    load: admission,
    functions: () => functions.functions.count,
    executions: () => executions.list(),
    storeAddress: store.address,
    workers: () => pool.ready,
    queues: () => [...pool.queues, execution.writes.state],
    backlogBytes: () => live.current.backlogBytes,
    storeAwayMs: () => identity.storeAwayMs,
    problems,
    tracesDropped: () => tracing?.dropped,
    facts: () => factsOf(live.current, host),
  })
  state.serve({ address: describeListener(listener), load: admission, problems, obstacle })
  let hurry: () => void = () => {}
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve
  })
  let stopping: Promise<void> | undefined

  async function stop(reason: string): Promise<void> {
    const { drainSeconds } = live.current
    state.stop(new Date(Date.now() + drainSeconds * 1000), admission)
    log.info({ reason, running: executions.list().length, drain_seconds: drainSeconds }, 'stopping')
    await drain(executions, drainSeconds * 1000, hurried)
    await closers.close()
    log.info('stopped')
  }

  async function leaveRunning(reason: string): Promise<void> {
    if (!host.survives) {
      log.warn('executions cannot outlive this agent: it stops instead')
      await stop(reason)
      return
    }
    state.stop(new Date(), admission)
    const running = await handOver(executions)
    log.info({ reason, running }, 'handing over')
    await closers.close()
    log.info({ running }, 'handed over')
  }

  return {
    port: boundTo(listener).port,
    stop(reason) {
      if (stopping) hurry()
      stopping ??= stop(reason)
      return stopping
    },
    handOver(reason) {
      stopping ??= leaveRunning(reason)
      return stopping
    },
    reload() {
      if (stopping) return { kind: 'not read', why: 'the agent is stopping' }
      service.reloading()
      const outcome = live.reload()
      service.ready()
      return outcome
    },
  }
}

/** Deletes expired records, where the store does not do so itself. Answers a function that stops it. */
function purgeRegularly(store: Store, log: Log): () => void {
  const timer = setInterval(() => {
    store.purgeExpired().catch((error: Error) => log.warn({ cause: error.message }, 'expired records not deleted'))
  }, PURGE_MS)
  return () => clearInterval(timer)
}
