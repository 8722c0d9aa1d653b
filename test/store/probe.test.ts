import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.js'
import { putCommand, withdrawCommand } from '../../src/store/redis/functions.js'
import { claimCommand, releaseCommand } from '../../src/store/redis/names.js'
import { IN_SCRIPTS } from '../../src/store/redis/probe.js'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import * as scripts from '../../src/store/redis/scripts.js'
import { StoreUnavailable } from '../../src/store/store.js'

const COMMANDS = [...Object.keys(IN_SCRIPTS), ...['EVAL', 'EVALSHA', 'GETRANGE', 'SMEMBERS']]

describe('the probe of a Redis', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  before(async () => {
    server = await RedisServer.start()
  })
  after(() => server.stop())

  it('has every command that the scripts call', () => {
    const commands = [
      putCommand('f', '{}', 'r'),
      withdrawCommand('f', '{}', 'r'),
      claimCommand('a', 'h', 1, ''),
      releaseCommand('a', 'h'),
    ]
    const all = [
      ...Object.values(scripts),
      ...commands.flatMap((command) => ('script' in command ? command.script : [])),
    ]
    const texts = all.flatMap((value) => (typeof value === 'object' ? [value.text] : []))
    const called = texts.flatMap((text) => [...text.matchAll(/redis\.call\('(\w+)'/g)].map(([, name]) => name))
    assert.ok(called.length > 20)
    assert.deepEqual([...new Set(called)].toSorted(), Object.keys(IN_SCRIPTS).toSorted())
  })

  it('leaves nothing behind, and never shows a function', async () => {
    await server.with((redis) => redis.config('SET', 'notify-keyspace-events', 'KA'))
    const store = new RedisStore(server.address)
    await server.with(async (redis) => {
      const seen: string[] = []
      await redis.psubscribe('__keyspace@0__:agent:function:*')
      redis.on('pmessage', (_, channel) => seen.push(channel))
      await store.probe()
      await redis.ping()
      assert.deepEqual(seen, [])
    })
    assert.equal(await server.with((redis) => redis.dbsize()), 0)
    await store.close()
  })

  for (const command of COMMANDS) {
    it(`names ${command} where a user may not`, async () => {
      const user = `no-${command.toLowerCase()}`
      await server.with((redis) => redis.acl('SETUSER', user, 'on', '>pw', '~*', '+@all', `-${command.toLowerCase()}`))
      const store = new RedisStore(`redis://${user}:pw@127.0.0.1:${server.port}`)
      await assert.rejects(store.probe(), (error: Error) => {
        assert.ok(error instanceof StoreUnavailable)
        assert.equal(error.permanent, true)
        assert.match(error.problem, new RegExp(`\\b${command}\\b`, 'i'))
        assert.equal(error.fix, `let its user do that: ACL SETUSER ${user} +${command.toLowerCase()}`)
        return true
      })
      await store.close()
    })
  }

  it('is refused where the user may not write functions, or records', async () => {
    for (const keys of ['~flux*', '~agent:function:*']) {
      await server.with((redis) => redis.acl('SETUSER', 'few', 'reset', 'on', '>pw', keys, '+@all'))
      const store = new RedisStore(`redis://few:pw@127.0.0.1:${server.port}`)
      await assert.rejects(store.probe(), /NOPERM.*; let its user have the keys: ACL SETUSER few ~agent:function/)
      await store.close()
    }
  })
})

describe('the probe of an embedded store', () => {
  it('leaves nothing behind', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'flux-probe-'))
    const store = new EmbeddedStore(join(dir, 'store'))
    await store.probe()
    assert.deepEqual(await store.functions(assert.fail), [])
    await store.close()
    rmSync(dir, { recursive: true })
  })

  it('names the folder that is none', () => {
    const dir = mkdtempSync(join(tmpdir(), 'flux-probe-'))
    writeFileSync(join(dir, 'file'), '')
    assert.throws(
      () => new EmbeddedStore(join(dir, 'file')),
      (error: Error) =>
        error instanceof StoreUnavailable &&
        error.permanent &&
        error.message.includes(`${dir}/file has to be a folder`),
    )
    rmSync(dir, { recursive: true })
  })
})
