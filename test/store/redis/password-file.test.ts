import assert from 'node:assert/strict'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { StoreUnavailable } from '../../../src/store/store.js'
import { examine } from '../../cli/doctor/examine.js'

describe('the password of Redis in a file', { skip: noRedis ?? false }, () => {
  const passwordFile = join(makeTempDir('flux-redis-password-'), 'password')
  let server: RedisServer
  before(async () => {
    server = await RedisServer.start()
    await server.with((redis) => redis.call('ACL', 'SETUSER', 'flux', 'on', '>first', '~*', '+@all'))
  })
  after(() => server.stop())

  const address = () => server.address.replace('//', '//flux:@')
  const answers = (store: RedisStore) => store.record('x').then(() => true)

  it('is read again for each connection, and an unusable file leaves the last one', async (t) => {
    writeFileSync(passwordFile, 'first\n')
    const store = new RedisStore(address(), { passwordFile })
    t.after(() => store.close())
    assert.ok(await answers(store))
    const reconnects = async () => {
      await server.with((redis) => redis.call('CLIENT', 'KILL', 'USER', 'flux'))
      await eventually('it is connected again', () => answers(store))
    }

    writeFileSync(passwordFile, 'sécond@ "#\r\n')
    await server.with((redis) => redis.call('ACL', 'SETUSER', 'flux', '<first', '>sécond@ "#'))
    await reconnects()
    for (const unusable of ['', 'two\nlines\n']) {
      writeFileSync(passwordFile, unusable)
      await reconnects()
    }
    rmSync(passwordFile)
    await reconnects()
  })

  it('is found as soon as it is the right one, and the file is named until then', async (t) => {
    writeFileSync(passwordFile, 'wrong')
    await server.with((redis) => redis.call('ACL', 'SETUSER', 'flux', 'resetpass', '>right'))
    const store = new RedisStore(address(), { passwordFile })
    t.after(() => store.close())
    await assert.rejects(store.record('x'), (error: Error) => {
      assert.ok(error instanceof StoreUnavailable && error.permanent)
      assert.match(error.message, /WRONGPASS.*; correct the password in \S+password \(redis\.password_file\)/)
      return true
    })
    writeFileSync(passwordFile, 'right')
    await eventually('it is connected', () => answers(store))
  })

  it('is refused where the file cannot be used, is not needed, or is open to others', async () => {
    const wrong: readonly [keys: object, expected: RegExp][] = [
      [{ password_file: '/none' }, /: redis\.password_file: \/none cannot be read \(ENOENT\)/],
      [{ password_file: '/dev/null' }, /: redis\.password_file: \/dev\/null is empty; it contains the password/],
      [{ password_file: '/etc/passwd' }, /: redis\.password_file: \/etc\/passwd contains more than a password/],
      [{ sentinel_password_file: passwordFile }, /: redis\.sentinel_password_file: redis_addr names no Sentinels/],
    ]
    for (const [redis, expected] of wrong) {
      const { find } = await examine({ redis_addr: server.address, redis })
      assert.match(find('config')?.message ?? '', expected)
    }
    const both = await examine({ redis_addr: 'redis://:secret@host', redis: { password_file: passwordFile } })
    assert.match(both.find('config')?.message ?? '', /redis\.password_file: redis_addr contains a password, too/)

    writeFileSync(passwordFile, 'right')
    chmodSync(passwordFile, 0o644)
    const open = await examine({ redis_addr: address(), redis: { password_file: passwordFile } })
    assert.equal(open.find('store')?.level, 'ok', open.find('store')?.message)
    assert.deepEqual(open.find('redis password'), {
      level: 'warn',
      subject: 'redis password',
      message: `others than its owner may read ${passwordFile}`,
      fix: `chmod 600 ${passwordFile}`,
    })
    chmodSync(passwordFile, 0o600)
    const closed = await examine({ redis_addr: address(), redis: { password_file: passwordFile } })
    assert.equal(closed.find('redis password'), undefined)
  })
})
