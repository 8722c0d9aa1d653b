import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

/**
 * An environment in which the embedded store's first transaction, of the main thread or of each worker's, lasts half a
 * second, while `what` is done in the middle of it: JavaScript.
 */
export function inTransaction(thread: 'main' | 'worker', what: string): { env: NodeJS.ProcessEnv } {
  const preload = join(makeTempDir('flux-preload-'), 'preload.cjs')
  const lmdb = createRequire(import.meta.url).resolve('lmdb')
  writeFileSync(
    preload,
    `const { isMainThread } = require('node:worker_threads')
    const lmdb = require(${JSON.stringify(lmdb)})
    const { open } = lmdb
    if (isMainThread === ${thread === 'main'}) lmdb.open = (...args) => {
      const root = open(...args)
      const { transaction } = root
      root.transaction = (action) => {
        root.transaction = transaction
        return root.transaction(async () => {
          await new Promise((resolve) => { ${what}; setTimeout(resolve, 500) })
          return action()
        })
      }
      return root
    }`,
  )
  return { env: { NODE_OPTIONS: `--require ${preload}` } }
}
