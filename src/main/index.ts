import { rmSync } from 'node:fs'
import type { Server as Listener } from 'node:net'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentConfig } from '../config/config.js'
import { openAppsFolder, tmpFolder } from '../host/apps-folder.js'
import { unkeptLimits } from '../host/limits.js'
import { awaitListener, boundTo, describeListener, listenProblem } from '../host/listener.js'
import { lockStateDir } from '../host/lock.js'
import { nodeAddresses } from '../host/node-addresses.js'
import { NodeSampler } from '../host/node-status.js'
import { commandedByFunctions, resolveRunAs } from '../host/run-as.js'
import { exposureWarnings } from '../host/secrets.js'
import { StartRefused } from '../host/start-refused.js'
import { claimStateFormat, tryStateDir } from '../host/state-format.js'
import { readIds } from '../ids/id-journal.js'
import { RecentIds } from '../ids/recent-ids.js'
import type { Log } from '../log/log.js'
import { platform } from '../os/index.js'
import { openStore } from '../store/open.js'
import { leftoverQueues, replayLeftovers } from '../store/queue/leftovers.js'
import { WriteQueue } from '../store/queue/write-queue.js'
import type { StoreUnavailable } from '../store/store.js'
import { logJournalEvent, logQueueEvent } from '../threads/log-events.js'
import { IDS_DIR, WRITES_DIR } from '../threads/messages.js'
import { allowedCallers } from '../tls/callers.js'
import { serverCredentials } from '../tls/credentials.js'
import { VERSION } from '../version.js'
import { AdmissionControl } from './executions/admission.js'
import { Executions } from './executions/executions.js'
import { Refusals } from './executions/refusals.js'
import { SupervisorPool } from './executions/worker-pool.js'
import { Deployer } from './functions/deployer.js'
import { Functions } from './functions/functions.js'
import { loadFunctions } from './functions/load-functions.js'
import { Registrations } from './functions/registrations.js'
import { Withdrawals } from './functions/withdrawals.js'
import { LiveConfig, type Reload, workerSettings } from './reload.js'
import { Connections } from './rpc/connections.js'
import { gate } from './rpc/gate.js'
import { Handlers } from './rpc/handler.js'
import { createServer, serve } from './rpc/server.js'
import type { ServiceManager } from './service-manager.js'
import { whenStored, withStore } from './store/await-store.js'
import { Identity } from './store/identity.js'

/** Where, in the state folder, the process starters keep what only the running agent needs. */
const RUN_DIR = 'run'
/** Where, there, it keeps the registrations that it has to take back. */
const WITHDRAWALS_DIR = 'withdrawals'
/** Nice levels of the main thread before all others. */
const PRECEDENCE = 10
const PURGE_MS = 60_000
/** How long a stop waits for the store to take the last records before they are kept on disk for the next start. */
const SETTLE_LIMIT_MS = 3_000

export interface RunningAgent {
  /** The one it listens on. */
  readonly port: number
  /**
   * Stops: no new executions, the running ones get the configured time, then are killed and recorded as failed.
   * Resolves when nothing is left. Called again, it waits for nothing more. `reason` is for the log.
   */
  stop(reason: string): Promise<void>
  /** Reads the configuration again and takes over what can change, at once: this call blocks for some milliseconds. */
  reload(): Reload
}

/** Starts the agent; resolves once it serves. Waits for its store for as long as that takes. */
export async function startAgent(config: AgentConfig, log: Log, service: ServiceManager): Promise<RunningAgent> {
  const runAs = resolveRunAs(config, log)
  const commanded = commandedByFunctions(config, runAs)
  if (commanded) log.warn(commanded)
  const writesDir = join(config.stateDir, WRITES_DIR)
  const unlock = lockStateDir(config.stateDir)
  tryStateDir(config.stateDir)
  claimStateFormat(config)
  const scratchDir = join(config.stateDir, RUN_DIR)
  rmSync(scratchDir, { recursive: true, force: true })
  // Before anything is started, since wrong files end the start.
  const appsDir = openAppsFolder(config, runAs, log)
  for (const warning of exposureWarnings(config, runAs)) log.warn(warning)
  const tls = serverCredentials(config.tls, (problem) => log.warn(problem))

  const { required, ...confinement } = config.isolation
  const { stateDir } = config
  const isolation = await platform.isolate({ stateDir, scratchDir, tmpdirs: tmpFolder(appsDir), ...confinement })
  service.starting()
  const limits = { required, unkept: isolation.unkept }
  if (isolation.problem) {
    log.warn(
      'functions are started by child_process, so that no_new_privileges is not kept, and a process that leaves its ' +
        `group outlives its execution: ${isolation.problem}`,
    )
  }
  if (isolation.noTmpdirs) log.warn(`functions have no TMPDIR of their own, and share /tmp: ${isolation.noTmpdirs}`)
  for (const line of unkeptLimits(isolation.unkept, confinement.maxProcesses)) log.warn(line)
  const cgroups = isolation.starter.kind === 'launcher' ? isolation.starter.cgroups : undefined
  if (cgroups) log.info({ dir: cgroups.dir, controllers: cgroups.controllers }, 'every execution gets a cgroup')

  const store = await openStore(config.store)
  const replay = async (queues: readonly string[]) => {
    const writes = await replayLeftovers(writesDir, store, queues, (why) => log.error(why))
    if (writes > 0) log.info({ writes }, 'stored what an earlier run had not')
  }
  const { agentId, file } = config
  const identity = new Identity({ agentId, stateDir, file, store, log })
  const withdrawals = new Withdrawals(join(config.stateDir, WITHDRAWALS_DIR), store, log)
  const storeAway = ({ permanent, message: cause }: StoreUnavailable) =>
    permanent
      ? log.error({ store: store.address, cause }, 'no retry will help: waiting until that is put right')
      : log.warn({ store: store.address, cause }, 'waiting for the store')
  const waiting = (why: StoreUnavailable) => {
    storeAway(why)
    service.waiting(`the store: ${why.message}`)
  }
  const recovered = await withStore(config, waiting, async () => {
    await store.probe()
    // First: what is done in its name is not undone where another has it.
    await identity.claim((why) => {
      log.warn(`waiting for the name of this agent: ${why}`)
      service.waiting(`the name of this agent: ${why}`)
    })
    identity.keep()
    await replay(await leftoverQueues(writesDir))
    await withdrawals.replay()
    const ended = await store.endLeftovers(config.agentId, 'agent restarted')
    if (ended > 0) log.warn({ executions: ended }, 'ended the records of executions that an earlier run left')
    return store.functions((name, why) =>
      log.warn({ function: name, why }, 'stored function is not readable, and not loaded: register it again'),
    )
  })

  const deployer = new Deployer(appsDir, runAs, config.archive)
  const admission = new AdmissionControl(config.maxTasks, config.maxQueued)
  const functions = new Functions(
    ({ name, maxConcurrency }) => admission.limit(name, maxConcurrency),
    (dir) => {
      deployer.removeVersion(dir, ({ message }) => log.warn({ dir, cause: message }, 'old version not deleted yet'))
    },
  )
  await loadFunctions(recovered, { functions, limits, deployer, log })
  const registrations = new Registrations({ store, functions, limits, deployer, withdrawals, log })

  const writes = new WriteQueue({
    store,
    dir: writesDir,
    boundBytes: config.backlogBytes,
    report: (event) => logQueueEvent(log, store, event),
  })
  const nice = getPriority()
  const pool = new SupervisorPool(
    config.workers,
    {
      agentId: config.agentId,
      store: config.store,
      stateDir: config.stateDir,
      ...(runAs && { runAs }),
      starter: isolation.starter,
      settings: workerSettings(config),
      nice,
    },
    (queueId) => {
      log.error('a worker thread has died; its executions are ended and it is replaced')
      void whenStored(storeAway, () => replay([queueId]))
    },
  )
  await pool.started()
  // It answers, whatever its functions and all that starts them do.
  platform.renice(nice - PRECEDENCE)

  const recent = new RecentIds()
  await readIds(
    join(config.stateDir, IDS_DIR),
    (number, ageMs) => recent.addOld(number, ageMs),
    (event) => logJournalEvent(log, event),
  )

  const addresses = nodeAddresses(config.network)
  const executions = new Executions(config.agentId, functions, admission, pool, writes, addresses, recent)
  const sampler = new NodeSampler()
  const callers = allowedCallers(config.tls)
  const refusals = new Refusals(agentId, store, log)
  const problems = () => [...new Set([...identity.problems, ...pool.problems])]
  const services = { agentId, admission, registrations, executions, identity, problems, refusals, pool, sampler }
  const handlers = new Handlers(log)
  const connections = new Connections()
  const server = createServer(services, handlers, gate(callers, connections, log))
  const listener = await listen(config, log)
  const endpoint = { listener, connections, server, handlers }
  const stopServing = serve(endpoint, tls.credentials)
  const purge = setInterval(() => {
    store.purgeExpired().catch((error: Error) => log.warn({ cause: error.message }, 'expired records not deleted'))
  }, PURGE_MS)
  const { host, port } = boundTo(listener)
  log.info({ port, host, store: store.address, apps: appsDir, version: VERSION }, 'serving')
  service.serving(describeListener(listener), admission, problems)

  const live = new LiveConfig(config, runAs, { log, tls, callers, admission, deployer, writes, pool })
  let hurry: () => void = () => {}
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve
  })
  let stopping: Promise<void> | undefined

  async function stop(reason: string): Promise<void> {
    const { drainSeconds } = live.current
    service.draining(new Date(Date.now() + drainSeconds * 1000), admission)
    const draining = executions.drain()
    const running = executions.list().length
    log.info({ reason, running, drain_seconds: drainSeconds }, 'stopping')
    await Promise.race([draining, hurried, sleep(drainSeconds * 1000, undefined, { ref: false })])
    await executions.stop()
    await Promise.race([executions.settled(), hurried, sleep(SETTLE_LIMIT_MS, undefined, { ref: false })])
    await stopServing()
    clearInterval(purge)
    sampler.close()
    addresses.close()
    tls.close()
    await pool.close()
    platform.release(isolation)
    await refusals.close()
    await writes.close().catch((error: Error) => log.error({ cause: error.message }, 'waiting writes are lost'))
    withdrawals.close()
    await deployer.destroy()
    await identity.release()
    await store.close()
    unlock()
    log.info('stopped')
  }

  return {
    port,
    stop(reason) {
      if (stopping) hurry()
      stopping ??= stop(reason)
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

async function listen(config: AgentConfig, log: Log): Promise<Listener> {
  const { file = 'development defaults', port } = config
  const problem = (error: NodeJS.ErrnoException) => {
    const { message, mend } = listenProblem(config, error)
    return `${file}: cannot listen on ${config.host} port ${port}: ${message}; ${mend}`
  }
  const listener = await awaitListener(config, (error) => log.warn(`${problem(error)}; trying for some seconds`)).catch(
    (error: NodeJS.ErrnoException) => {
      throw new StartRefused(problem(error))
    },
  )
  return listener.on('error', ({ message }) => log.warn({ cause: message }, 'a connection was not accepted'))
}
