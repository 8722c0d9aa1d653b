import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { describe, it } from 'node:test'
import { localStorePorts } from '../../src/host/local-store.js'

const redis = (address: string) => localStorePorts({ kind: 'redis', address })

describe('the ports of a store on this machine', () => {
  it('is that of a Redis at an address of it', async () => {
    const own = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
    for (const { address, family } of own)
      assert.deepEqual(await redis(family === 'IPv6' ? `[${address}]:1` : `${address}:1`), [1], address)
    for (const host of ['localhost', '127.9.9.9', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]'])
      assert.deepEqual(await redis(`rediss://user:pw@${host}:6380/1?family=0`), [6380], host)
    assert.deepEqual(await redis('localhost'), [6379])
  })

  it('are those of the Sentinels on it', async () => {
    assert.deepEqual(await redis('redis+sentinel://127.0.0.1:1,198.18.0.9:2,localhost/name'), [1, 26_379])
  })

  it('is none elsewhere, for a socket and for a folder', async () => {
    for (const host of ['198.18.0.9', '[2001:db8::1]']) assert.deepEqual(await redis(`${host}:6379`), [])
    assert.deepEqual(await redis('unix:///run/redis.sock'), [])
    assert.deepEqual(await localStorePorts({ kind: 'embedded', path: '/store' }), [])
  })

  it('is assumed where the host cannot be found', async () => {
    assert.deepEqual(await redis('nobody.invalid:7'), [7])
  })
})
