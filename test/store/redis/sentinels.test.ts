import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, type RedisServer } from '../../../harness/redis.js'
import { RedisSentinels } from '../../../harness/sentinels.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { examine } from '../../cli/doctor/examine.js'
import { output, running } from '../records.js'
import { readProblem } from './problem.js'

describe('a store behind Sentinels', { skip: noRedis ?? false }, () => {
  let set: RedisSentinels
  let store: RedisStore
  before(async () => {
    set = await RedisSentinels.start()
    store = new RedisStore(set.address)
  })
  after(async () => {
    await store.close()
    await set.stop()
  })

  const writes = (id: string) =>
    eventually(`${id} is written`, () => store.write([output(id, 0, 'x')]).then(() => true), 20)
  /** What the old one accepts until the agent leaves it is lost there. */
  const writesOn = (server: RedisServer, id: string) =>
    eventually('what is written is on the new primary', async () => {
      await writes(id)
      return (await has(server, id)) === 'x'
    })
  const has = (server: RedisServer, id: string) => server.with((redis) => redis.get(`flux:exec-output:${id}`))

  it('takes what an agent writes, on the primary', async () => {
    await store.probe()
    assert.equal(store.address, set.address)
    assert.equal(await store.begin(running('first')), true)
    assert.ok(await (await set.primary()).with((redis) => redis.get('flux:exec:first')))
  })

  it('goes on with the new primary after an operator has failed over', async () => {
    const primary = await set.failOver()
    await writesOn(primary, 'second')
    assert.ok(await store.record('first'))
  })

  it('leaves a primary that is stopped, and what it had is resent, as soon as there is another', async () => {
    const before = await set.primary()
    await set.inStep()
    before.pause()
    const asked = performance.now()
    // Its answer would come once it goes on, and what it says would be lost.
    await assert.rejects(store.write([output('third', 0, 'x')]), /its Sentinels have replaced it|ECONN|connection/)
    assert.ok(performance.now() - asked < 9_000, `${performance.now() - asked} ms`)
    await writes('third')
    const primary = await set.replaced(before)
    assert.equal(await has(primary, 'third'), 'x')
    before.resume()
    await writes('fourth')
    assert.equal(await has(primary, 'fourth'), 'x')
  })

  it('leaves a primary that answers, but was replaced while the Sentinels could not reach it', async () => {
    await set.inStep()
    const before = await set.primary()
    await before.with(async (redis) => {
      // Only who is connected already is let in from now on, and the Sentinels are not any more.
      await redis.config('SET', 'requirepass', 'unknown')
      const clients = String(await redis.client('LIST')).matchAll(/^id=(\d+) .* name=sentinel-/gm)
      for (const [, id] of clients) await redis.client('KILL', 'ID', Number(id))
      const primary = await set.replaced(before)
      assert.match(await redis.info('replication'), /role:master/)
      await writesOn(primary, 'fifth')
      assert.match(await redis.info('replication'), /role:master/)
      await redis.config('SET', 'requirepass', '')
    })
  })

  it('finds the primary with one Sentinel gone and one stopped, and says so where all are', async (t) => {
    const [one, two, three] = set.sentinels as [RedisServer, RedisServer, RedisServer]
    t.after(async () => {
      two.resume()
      await one.restart()
      await three.restart()
    })
    await one.halt()
    two.pause()
    const found = new RedisStore(set.address)
    await eventually('it answers', () => found.record('x').then(() => true))
    await found.close()
    const { findings, find } = await examine({ redis_addr: set.address })
    assert.equal(find('store')?.level, 'ok', find('store')?.message)
    const told = findings.filter(({ subject }) => subject === 'sentinels').map(({ message }) => message)
    assert.match(told[0] ?? '', /^1 of 3 name 127\.0\.0\.1:\d+$/)
    assert.match(told[1] ?? '', new RegExp(`^Sentinel 127\\.0\\.0\\.1:${one.port}: .*ECONNREFUSED`))
    assert.match(told[2] ?? '', new RegExp(`^Sentinel 127\\.0\\.0\\.1:${two.port}: no answer within 2 s$`))
    await three.halt()
    const error = await readProblem(
      set.address,
      /none of its 3 Sentinels answers: .*; start them, or correct redis_addr/,
    )
    assert.equal(error.permanent, false)
  })

  it('says what an operator has to correct', async () => {
    const [sentinel] = set.sentinels as [RedisServer]
    const primary = await set.primary()
    const unknown = await readProblem(
      set.address.replace(/\w+$/, 'nobody'),
      /its Sentinels watch no primary called nobody; correct the name in redis_addr/,
    )
    assert.equal(unknown.permanent, true)
    const other = await readProblem(
      `redis+sentinel://127.0.0.1:${primary.port}/primary`,
      /its Sentinel does not answer: .*unknown command.*; what answers there is no Sentinel: correct redis_addr/i,
    )
    assert.equal(other.permanent, true)
    await readProblem(
      `redis://127.0.0.1:${sentinel.port}`,
      /'exists'; the agent needs .*; if it is a Sentinel, write redis\+sentinel:/,
    )
  })
})

describe('Sentinels with a password', { skip: noRedis ?? false }, () => {
  const sentinelPasswordFile = join(makeTempDir('flux-sentinel-password-'), 'password')

  it('get it from its file', async (t) => {
    const set = await RedisSentinels.start({
      redis: ['--requirepass', 'redis', '--masterauth', 'redis'],
      sentinel: ['--requirepass', 'sentinel'],
      lines: ['sentinel auth-pass primary redis', 'sentinel sentinel-pass sentinel'],
    })
    t.after(() => set.stop())
    const address = set.address.replace('//', '//:redis@')
    const missing = await readProblem(
      address,
      /Sentinels answers: .*NOAUTH.*; give .* in redis\.sentinel_password_file/,
    )
    assert.equal(missing.permanent, true)
    writeFileSync(sentinelPasswordFile, 'wrong')
    await readProblem(address, /WRONGPASS.*; correct the password in \S+password \(redis\.sentinel_password_file\)/, {
      sentinelPasswordFile,
    })
    const store = new RedisStore(address, { sentinelPasswordFile })
    t.after(() => store.close())
    writeFileSync(sentinelPasswordFile, 'sentinel\n')
    await eventually('it answers', () => store.probe().then(() => true))
  })
})
