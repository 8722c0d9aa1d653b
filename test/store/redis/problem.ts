import assert from 'node:assert/strict'
import { eventually } from '../../../harness/eventually.js'
import type { RedisAccess } from '../../../src/store/redis/access.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { StoreUnavailable } from '../../../src/store/store.js'

/** What a store at that address meets with its first command, once that is what is expected. */
export async function readProblem(address: string, expected: RegExp, access?: RedisAccess): Promise<StoreUnavailable> {
  const store = new RedisStore(address, access)
  try {
    return await eventually(`${expected}`, async () => {
      const error = await store.record('x').then(
        () => undefined,
        (failure: unknown) => failure,
      )
      assert.ok(error instanceof StoreUnavailable, 'it answers')
      assert.match(error.message, expected)
      return error
    })
  } finally {
    await store.close()
  }
}
