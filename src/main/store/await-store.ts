import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentConfig } from '../../config/config.js'
import { StartRefused } from '../../host/start-refused.js'
import { StoreUnavailable } from '../../store/store.js'

const RETRY_MS = 500
const NEWS_MS = 5_000

/**
 * Does it as soon as the store answers, however long that takes; `waiting` hears every few seconds why it does not, and
 * at once where that is for good.
 */
export async function whenStored<T>(waiting: (why: StoreUnavailable) => void, act: () => Promise<T>): Promise<T> {
  let loggedAt = -Infinity
  let toldForGood = false
  for (; ; await sleep(RETRY_MS)) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      const news = error.permanent && !toldForGood
      if (!news && performance.now() - loggedAt < NEWS_MS) continue
      loggedAt = performance.now()
      toldForGood = error.permanent
      waiting(error)
    }
  }
}

/** The same for a start, which has nothing to lose: where no retry would help, it rejects with StartRefused. */
export function withStore<T>(
  { file, store }: Pick<AgentConfig, 'file' | 'store'>,
  waiting: (why: StoreUnavailable) => void,
  act: () => Promise<T>,
): Promise<T> {
  return whenStored(waiting, async () => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || !error.permanent) throw error
      const key = store.kind === 'redis' ? 'redis_addr' : 'state_dir'
      throw new StartRefused(`${file ?? 'development defaults'}: ${key}: ${error.message}`)
    }
  })
}
