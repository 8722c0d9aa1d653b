import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { type QueueEvent, WriteQueue } from '../../../src/store/queue/write-queue.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { allStored } from './all-stored.js'
import {
  assertWhole as assertAllWhole,
  type Happenings,
  IN_ORDER,
  MiB,
  produce as produceFour,
} from './four-executions.js'

/** Four executions that write 8 MiB each while something happens to Redis. */
describe('write queue before Redis', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  let dir: string
  let store: RedisStore
  let queue: WriteQueue
  let events: QueueEvent[]

  before(async () => {
    server = await RedisServer.start()
  })
  after(() => server.stop())
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'flux-queue-redis-'))
    await server.with((redis) => redis.flushall())
    store = new RedisStore(server.address)
    events = []
    queue = new WriteQueue({ store, dir, boundBytes: 1e9, report: (event) => events.push(event) })
  })
  afterEach(async () => {
    await queue.close()
    await store.close()
    await rm(dir, { recursive: true })
  })

  const produce = (happenings: Happenings) => produceFour(() => queue, happenings)

  async function assertWhole(stored: readonly string[]): Promise<void> {
    assert.equal(await allStored(queue, 30_000), true)
    assert.deepEqual(stored, IN_ORDER)
    await assertAllWhole(store, stored)
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'lost' || kind === 'disk-failed'),
      [],
    )
    await queue.close()
    assert.deepEqual(await readdir(dir), [])
  }

  it('stores all of it', async () => {
    const { stored, peak } = await produce({})
    await assertWhole(stored)
    assert.ok(peak <= 2 * MiB, `${peak} bytes`)
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'away'),
      [],
    )
  })

  it('stores all of it when Redis ends and begins again with what it had', async () => {
    const { stored, peak } = await produce({ [MiB]: () => server.halt(true) })
    assert.equal(queue.away, true)
    assert.ok(peak <= 2 * MiB, `${peak} bytes`)
    await server.restart()
    await assertWhole(stored)
  })

  it('stores all of it when Redis was not there at first', async () => {
    await server.halt()
    const { stored } = await produce({})
    await eventually('it is away', () => queue.away)
    await server.restart()
    await assertWhole(stored)
  })

  it('stores all of it when Redis stops for longer than a second and goes on', async () => {
    const { stored, peak } = await produce({ [MiB]: () => server.pause() })
    await eventually('it is away', () => queue.away)
    assert.ok(peak <= 2 * MiB, `${peak} bytes`)
    server.resume()
    await assertWhole(stored)
  })

  it('stores all of it when Redis stops for so long that the connection is given up', async () => {
    const { stored } = await produce({ [MiB]: () => server.pause() })
    await eventually(
      'it is given up',
      async () => {
        await assert.rejects(store.record('a'), /no answer for|not connected|ECONN/)
        return true
      },
      15,
    )
    server.resume()
    await assertWhole(stored)
  })

  it('stores all of it when Redis is full and has room again', async () => {
    const { stored, peak } = await produce({
      [2 * MiB]: () => server.with((redis) => redis.config('SET', 'maxmemory', '1')),
    })
    await eventually('it is away', () => queue.away)
    assert.match(String(events.find((event) => event.kind === 'away')?.cause), /OOM/)
    assert.ok(peak <= 2 * MiB, `${peak} bytes`)
    await server.with((redis) => redis.config('SET', 'maxmemory', '0'))
    await assertWhole(stored)
  })

  it('stores all of it when connections break again and again', async () => {
    const breaking = async () => {
      await eventually('it is back', () => !queue.away)
      await server.with((redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'normal'))
    }
    const { stored } = await produce(Object.fromEntries([1, 2, 3, 4, 5, 6].map((n) => [n * MiB, breaking])))
    await assertWhole(stored)
    assert.ok(events.filter(({ kind }) => kind === 'away').length > 1)
  })
})
