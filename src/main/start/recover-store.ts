import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FunctionSettings } from '../../store/function.js'
import { openStore } from '../../store/open.js'
import { leftoverQueues, replayLeftovers } from '../../store/queue/leftovers.js'
import { isQueueOf } from '../../store/queue/write-queues.js'
import type { Store, StoreUnavailable } from '../../store/store.js'
import { WRITES_DIR } from '../../threads/messages.js'
import { idsOf } from '../executions/kept-executions.js'
import { Withdrawals } from '../functions/withdrawals.js'
import { whenStored, withStore } from '../store/await-store.js'
import { Identity } from '../store/identity.js'
import type { StartContext } from './context.js'
import type { Host } from './prepare-host.js'

/** In the state folder: failed registrations that have to be withdrawn. */
const WITHDRAWALS_DIR = 'withdrawals'

/** The store, with everything of an earlier run recovered. */
export interface RecoveredStore {
  readonly store: Store
  readonly identity: Identity
  readonly withdrawals: Withdrawals
  readonly functions: readonly FunctionSettings[]
  /** Stores the writes that a dead worker left, once the store answers. */
  readonly replayQueues: (queuesId: string) => Promise<void>
}

/**
 * Takes the agent's name, and completes in the store what an earlier run began. Waits for the store without a limit.
 * Rejects with StartRefused where waiting would not help.
 */
export async function recoverStore(
  { config, log, state, closers }: StartContext,
  { appsDir, kept }: Host,
): Promise<RecoveredStore> {
  const { agentId, stateDir, file } = config
  const store = await openStore(config.store)
  closers.add(() => store.close())
  const identity = new Identity({ agentId, stateDir, file, store, log })
  closers.add(() => identity.release())
  const withdrawals = new Withdrawals(join(stateDir, WITHDRAWALS_DIR), store, log)
  closers.add(() => withdrawals.close())

  const writesDir = join(stateDir, WRITES_DIR)
  const replay = async (queues: readonly string[]) => {
    const writes = await replayLeftovers(writesDir, store, queues, (why) => log.error(why))
    if (writes > 0) log.info({ writes }, 'replayed writes left by the previous run')
  }
  const logAway = ({ permanent, message: cause }: StoreUnavailable) =>
    permanent
      ? log.error({ store: store.address, cause }, 'no retry will help: waiting until that is put right')
      : log.warn({ store: store.address, cause }, 'waiting for the store')
  const waiting = (why: StoreUnavailable) => {
    // The store itself may be closed by then.
    closers.refuseIfClosing()
    logAway(why)
    state.wait(`the store: ${why.message}`)
  }
  const functions = await withStore(config, waiting, async () => {
    await store.probe()
    // First: another agent that holds the name must not be disturbed.
    await identity.claim((why) => {
      log.warn(`waiting for the name of this agent: ${why}`)
      state.wait(`the name of this agent: ${why}`)
    })
    identity.keep()
    await replay(await leftoverQueues(writesDir))
    await withdrawals.replay()
    const ended = await store.endLeftovers(agentId, 'agent restarted', idsOf(kept))
    if (ended > 0) log.warn({ executions: ended }, 'ended the records of executions that an earlier run left')
    return store.functions(
      (name, why) =>
        log.warn({ function: name, why }, 'stored function is not readable, and not loaded: register it again'),
      (why) => {
        log.warn({ store: store.address }, why)
        return readdir(appsDir).catch(() => [])
      },
    )
  })
  const replayQueues = (id: string) =>
    whenStored(logAway, async () => {
      const folders = await leftoverQueues(writesDir)
      await replay(folders.filter((folder) => isQueueOf(id, folder)))
    })
  return { store, identity, withdrawals, functions, replayQueues }
}
