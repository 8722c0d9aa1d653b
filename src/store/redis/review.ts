import { type StoreProblem, StoreUnavailable } from '../store.js'
import { isCommandRefused } from './errors.js'
import { FUNCTION_PREFIX } from './functions.js'

/** Asks one node with a command that has no key. */
export type AskNode = (name: string, ...args: readonly (string | number)[]) => Promise<unknown>

/** SCAN alone lists functions. Rejects with StoreUnavailable where the store is away. */
export async function scanProblem(ask: AskNode): Promise<StoreProblem[]> {
  const refused = await unlessRefused(() => ask('scan', '0', 'MATCH', `${FUNCTION_PREFIX}*`, 'COUNT', 1))
  if (!(refused instanceof StoreUnavailable)) return []
  const problem = `${refused.problem}: a start loads only those stored functions whose code is on this node`
  return [{ problem, fix: refused.fix }]
}

/**
 * Records and output have a time to live, so that `volatile-` policies drop them, too. Silent where neither INFO nor
 * CONFIG may be asked. Rejects with StoreUnavailable where the store is away.
 */
export async function evictionProblem(ask: AskNode): Promise<StoreProblem[]> {
  const info = await unlessRefused(() => ask('info', 'memory'))
  const said = info instanceof StoreUnavailable ? await unlessRefused(() => configured(ask)) : info
  if (said instanceof StoreUnavailable) return []
  const limit = Number(/^maxmemory:(\d+)/m.exec(String(said))?.[1] ?? 0)
  const policy = /^maxmemory_policy:([\w-]+)/m.exec(String(said))?.[1] ?? 'noeviction'
  if (limit === 0 || policy === 'noeviction') return []
  const what = policy.startsWith('volatile') ? 'records and output' : 'functions, records and output'
  const problem = `its maxmemory-policy is ${policy}: with its memory full it drops ${what}, also of what runs`
  return [{ problem, fix: 'CONFIG SET maxmemory-policy noeviction' }]
}

/** As INFO says it. */
async function configured(ask: AskNode): Promise<string> {
  const [, limit] = (await ask('config', 'GET', 'maxmemory')) as string[]
  const [, policy] = (await ask('config', 'GET', 'maxmemory-policy')) as string[]
  return `maxmemory:${limit}\nmaxmemory_policy:${policy}`
}

async function unlessRefused<T>(command: () => Promise<T>): Promise<T | StoreUnavailable> {
  try {
    return await command()
  } catch (error) {
    if (error instanceof StoreUnavailable && isCommandRefused(error.cause)) return error
    throw error
  }
}
