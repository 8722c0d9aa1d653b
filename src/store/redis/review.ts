import { type StoreProblem, StoreUnavailable } from '../store.js'
import { isCommandRefused } from './errors.js'
import { FUNCTION_PREFIX } from './functions.js'

/** Asks one node with a command that has no key. */
export type AskNode = (name: string, ...args: readonly (string | number)[]) => Promise<unknown>

/** SCAN alone lists functions. Rejects with StoreUnavailable where the store is away. */
export async function scanProblem(ask: AskNode): Promise<StoreProblem[]> {
  const refused = await unlessRefused(() => ask('scan', '0', 'MATCH', `${FUNCTION_PREFIX}*`, 'COUNT', 1))
  return refused instanceof StoreUnavailable ? [unlisted(refused)] : []
}

/** The names of the keys of all functions on a node; why not, where it may not be asked. Rejects as `scanProblem`. */
export async function functionKeys(ask: AskNode): Promise<readonly string[] | StoreProblem> {
  const keys: string[] = []
  for (let cursor = '0'; ; ) {
    const at = cursor
    const answer = await unlessRefused(() => ask('scan', at, 'MATCH', `${FUNCTION_PREFIX}*`, 'COUNT', 1000))
    if (answer instanceof StoreUnavailable) return unlisted(answer)
    const [next, found] = answer as [string, string[]]
    keys.push(...found)
    if (next === '0') return keys
    cursor = next
  }
}

function unlisted({ problem, fix }: StoreUnavailable): StoreProblem {
  return { problem: `${problem}: a start loads only those stored functions whose code is on this node`, fix }
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
