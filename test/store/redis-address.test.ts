import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseRedisAddress } from '../../src/store/redis-address.js'

const cases: [address: string, display: string, connection: object][] = [
  ['redis://localhost:6379', 'redis://localhost:6379', { host: 'localhost', port: 6379, db: 0 }],
  ['redis://cache', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0 }],
  ['redis://cache:7000/3', 'redis://cache:7000/3', { host: 'cache', port: 7000, db: 3 }],
  ['redis://cache/', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0 }],
  ['localhost:6379', 'redis://localhost:6379', { host: 'localhost', port: 6379, db: 0 }],
  ['localhost:6379/2', 'redis://localhost:6379/2', { host: 'localhost', port: 6379, db: 2 }],
  ['cache.example', 'redis://cache.example:6379', { host: 'cache.example', port: 6379, db: 0 }],
  ['10.0.0.7:6380', 'redis://10.0.0.7:6380', { host: '10.0.0.7', port: 6380, db: 0 }],
  ['[::1]:6380', 'redis://[::1]:6380', { host: '::1', port: 6380, db: 0 }],
  [' localhost:6379 ', 'redis://localhost:6379', { host: 'localhost', port: 6379, db: 0 }],
  ['redis://:s%40crt@cache', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0, password: 's@crt' }],
  [
    'flux:secret@cache:7000/1',
    'redis://cache:7000/1',
    { host: 'cache', port: 7000, db: 1, username: 'flux', password: 'secret' },
  ],
  [
    'rediss://u:p@cache:7000',
    'rediss://cache:7000',
    { host: 'cache', port: 7000, db: 0, username: 'u', password: 'p', tls: {} },
  ],
  ['/run/redis.sock', '/run/redis.sock', { path: '/run/redis.sock' }],
  ['unix:///run/redis.sock', '/run/redis.sock', { path: '/run/redis.sock' }],
  ['./redis.sock', './redis.sock', { path: './redis.sock' }],
]

describe('redis address', () => {
  for (const [address, display, connection] of cases) {
    it(`takes ${address}`, () => assert.deepEqual(parseRedisAddress(address), { display, connection }))
  }

  for (const address of [
    '',
    'http://cache:6379',
    'redis://',
    'cache:port',
    'cache:70000',
    'cache:6379/name',
    'redis://:secret#1@cache',
    'redis://:100%secret@cache',
    'redis://:secret@cache?family=6',
  ]) {
    it(`refuses ${JSON.stringify(address)}`, () => {
      assert.throws(
        () => parseRedisAddress(address),
        (error: Error) => error.message.startsWith('not a Redis address') && !error.message.includes('secret'),
      )
    })
  }
})
