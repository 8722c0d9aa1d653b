import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentConfig } from '../../config/config.js'
import { placeOf, type Sources } from '../../config/sources.js'
import { StartRefused } from '../../host/start-refused.js'
import { StoreUnavailable } from '../../store/store.js'

const RETRY_MS = 500
const NEWS_MS = 5_000

/**
 * Runs `act` until the store answers, without a limit. `waiting` is called every few seconds with the reason, and at
 * once where no retry will help.
 */
export async function whenStored<T>(waiting: (why: StoreUnavailable) => void, act: () => Promise<T>): Promise<T> {
  let loggedAt = -Infinity
  let reportedPermanent = false
  for (; ; await sleep(RETRY_MS)) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      const news = error.permanent && !reportedPermanent
      if (!news && performance.now() - loggedAt < NEWS_MS) continue
      loggedAt = performance.now()
      reportedPermanent = error.permanent
      waiting(error)
    }
  }
}

/** As whenStored, for a start: rejects with StartRefused where no retry will help. */
export function withStore<T>(
  config: Pick<AgentConfig, 'store'> & Sources,
  waiting: (why: StoreUnavailable) => void,
  act: () => Promise<T>,
): Promise<T> {
  return whenStored(waiting, async () => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || !error.permanent) throw error
      const key = config.store.kind === 'redis' ? 'redis_addr' : 'state_dir'
      throw new StartRefused(`${placeOf(config, key)}: ${error.message}`)
    }
  })
}
