import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { RedisExecutions } from '../../../bench/measure/stored.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'

describe('executions looked up in Redis', { skip: noRedis }, () => {
  let redis: RedisServer
  let stored: RedisExecutions
  before(async () => {
    redis = await RedisServer.start()
    stored = new RedisExecutions(redis.port)
  })
  after(async () => {
    await stored.close()
    await redis.stop()
  })

  it('are found in a record alone and with their output beside it', async () => {
    await redis.with(async (client) => {
      await client.set('flux:exec:both', '{"execution_id":"both","status":"success","output":"of the record"}')
      await client.set('flux:exec:running', '{"execution_id":"running","status":"running"}')
      await client.set('flux:exec-output:running', 'so far')
    })
    assert.equal(await stored.status('both'), 'success')
    assert.equal(String(await stored.output('both')), 'of the record')
    assert.equal(await stored.status('running'), 'running')
    assert.equal(String(await stored.output('running')), 'so far')
    assert.equal(await stored.status('nobody'), undefined)
    assert.equal((await stored.output('nobody')).length, 0)
  })

  it('are not themselves counted as traffic, which is that of others to the byte', async () => {
    const begin = await stored.traffic()
    for (let i = 0; i < 20; i++) await stored.status(`some execution ${i}`)
    await stored.output('nobody')
    const looked = await stored.traffic()
    assert.deepEqual(looked, begin)
    await redis.with((client) => client.set('key', 'x'.repeat(100_000)))
    const { bytes, commands } = await stored.traffic()
    assert.ok(bytes - begin.bytes > 100_000 && bytes - begin.bytes < 101_000, `${bytes - begin.bytes} bytes`)
    assert.ok(commands > begin.commands)
  })
})
