import { getPriority } from 'node:os'
import { join } from 'node:path'
import { type NodeAddresses, nodeAddresses } from '../../host/node-addresses.js'
import { readIds } from '../../ids/id-log.js'
import { RecentIds } from '../../ids/recent-ids.js'
import { platform } from '../../os/index.js'
import { WriteQueues } from '../../store/queue/write-queues.js'
import { logIdLogEvent, logQueueEvent } from '../../threads/log-events.js'
import { IDS_DIR, WRITES_DIR } from '../../threads/messages.js'
import { Executions } from '../executions/executions.js'
import { LaunchSpecs } from '../executions/launch-specs.js'
import { Refusals } from '../executions/refusals.js'
import { Rescue } from '../executions/rescue.js'
import { WorkerPool } from '../executions/worker-pool.js'
import { workerSettings } from '../executions/worker-settings.js'
import type { Counts } from '../metrics/counts.js'
import type { Tracing } from '../tracing/tracing.js'
import type { StartContext } from './context.js'
import type { Host } from './prepare-host.js'
import type { RecoveredStore } from './recover-store.js'
import type { FunctionServices } from './start-functions.js'

/** Nice levels between the main thread and the workers: keeps gRPC responsive under function load. */
const MAIN_THREAD_PRIORITY = 10

export interface ExecutionServices {
  readonly executions: Executions
  readonly refusals: Refusals
  readonly pool: WorkerPool
  /** The main thread's own writes to the store. */
  readonly writes: WriteQueues
  readonly addresses: NodeAddresses
}

/** Starts the workers, and reads which ids are taken. */
export async function startExecutions(
  { config, log, closers }: StartContext,
  { runAs, users, starter, survives, kept }: Host,
  { store, replayQueues }: RecoveredStore,
  { admission, functions }: FunctionServices,
  counts: Counts | undefined,
  tracing: Tracing | undefined,
): Promise<ExecutionServices> {
  const { agentId, stateDir } = config
  const writes = new WriteQueues({
    store,
    dir: join(stateDir, WRITES_DIR),
    boundBytes: config.backlogBytes,
    report: (event, node) => logQueueEvent(log, store, event, node),
    measured: counts && ((stored, ms) => counts.stored(stored, ms)),
  })
  closers.add(() =>
    writes.close().catch((error: Error) => log.error({ cause: error.message }, 'waiting writes are lost')),
  )
  const nice = getPriority()
  let rescue: Rescue | undefined
  let executions: Executions | undefined
  const pool = new WorkerPool(
    config.workers,
    {
      agentId,
      store: config.store,
      stateDir,
      ...(runAs && { runAs }),
      starter,
      settings: workerSettings(config),
      nice,
      counts: counts !== undefined,
    },
    (queuesId) => {
      if (counts) counts.workerDeaths++
      log.error('a worker thread has died; it is replaced')
      if (rescue) rescue.workerDied(queuesId)
      else void replayQueues(queuesId)
    },
    counts && ((figures) => counts.told(figures)),
  )
  closers.add(() => pool.close(executions?.handedOver ?? false))
  await pool.started()
  platform.renice(nice - MAIN_THREAD_PRIORITY)

  const recent = new RecentIds()
  await readIds(
    join(stateDir, IDS_DIR),
    (number, ageMs) => recent.addOld(number, ageMs),
    (event) => logIdLogEvent(log, event),
  )
  const addresses = nodeAddresses(config.network)
  closers.add(() => addresses.close())
  const refusals = new Refusals(agentId, store, log, counts)
  closers.add(() => refusals.close())
  const specs = new LaunchSpecs(addresses, users)
  executions = new Executions(
    agentId,
    functions,
    admission,
    pool,
    writes,
    specs,
    recent,
    survives,
    counts?.executions,
    tracing,
  )
  rescue = new Rescue({ executions, pool, scratchDir: starter.scratchDir, replayQueues, log })
  await executions.takeOver(kept)
  if (executions.list().length > 0) log.info({ executions: executions.list().length }, 'took running executions over')
  return { executions, refusals, pool, writes, addresses }
}
