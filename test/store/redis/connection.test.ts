import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { output, running } from '../records.js'

interface Proxy {
  readonly address: string
  readonly server: Server
}

/** Leads each new connection to the port that `target` then answers; ends those that say what `forbidden` matches. */
async function proxy(target: () => number, forbidden = /$^/): Promise<Proxy> {
  const server = createServer((client) => {
    const redis = connect(target(), '127.0.0.1')
    for (const side of [client, redis]) side.on('error', () => {})
    client.on('data', (bytes) => {
      if (forbidden.test(bytes.toString('latin1'))) client.destroy()
      else redis.write(bytes)
    })
    redis.on('data', (bytes) => client.write(bytes))
    client.on('close', () => redis.destroy())
    redis.on('close', () => client.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { address: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

describe('the connection to Redis', { skip: noRedis ?? false }, () => {
  let first: RedisServer
  let second: RedisServer
  before(async () => {
    first = await RedisServer.start()
    second = await RedisServer.start()
  })
  after(async () => {
    await first.stop()
    await second.stop()
  })

  it('does with a proxy that hangs up on HELLO, INFO, CLIENT and PING', async (t) => {
    const { address, server } = await proxy(() => first.port, /\r\n(hello|info|client|ping)\r\n/i)
    t.after(() => server.close())
    const store = new RedisStore(address)
    await store.probe()
    assert.deepEqual(await store.functions(assert.fail), [])
    assert.equal(await store.begin(running('behind-a-proxy')), true)
    await store.close()
  })

  it('leads to the Redis that has taken over, and what was refused goes there', async (t) => {
    let port = first.port
    const { address, server } = await proxy(() => port)
    t.after(() => server.close())
    const store = new RedisStore(address)
    assert.equal(await store.begin(running('before')), true)

    // The connection stays with the one that is a replica from now on.
    await first.with((redis) => redis.replicaof('127.0.0.1', second.port))
    port = second.port
    assert.equal(await store.begin(running('meanwhile')), true)
    await eventually('batches go there', () => store.write([output('meanwhile', 0, 'x')]).then(() => true))
    assert.equal(await second.with((redis) => redis.get('flux:exec-output:meanwhile')), 'x')
    await store.close()
  })
})
