import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseRedisAddress } from '../../../src/store/redis/address.js'

const cases: [address: string, display: string, connection: object, tls?: boolean][] = [
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
    { host: 'cache', port: 7000, db: 0, username: 'u', password: 'p' },
    true,
  ],
  ['/run/redis.sock', '/run/redis.sock', { path: '/run/redis.sock' }],
  ['unix:///run/redis.sock', '/run/redis.sock', { path: '/run/redis.sock' }],
  ['unix://:pw@/run/redis.sock?db=2', '/run/redis.sock', { path: '/run/redis.sock', password: 'pw', db: 2 }],
  ['REDIS://cache', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0 }],
  ['rediss://cache', 'rediss://cache:6379', { host: 'cache', port: 6379, db: 0 }, true],
  ['redis:6379', 'redis://redis:6379', { host: 'redis', port: 6379, db: 0 }],
  ['my_redis_1:6379', 'redis://my_redis_1:6379', { host: 'my_redis_1', port: 6379, db: 0 }],
  ['redis://cache:6379?family=6', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0, family: 6 }],
  ['redis://cache?db=3&family=4', 'redis://cache:6379/3', { host: 'cache', port: 6379, db: 3, family: 4 }],
  ['redis://@cache', 'redis://cache:6379', { host: 'cache', port: 6379, db: 0 }],
  ['redis://[fe80::1%eth0]:7000', 'redis://[fe80::1%eth0]:7000', { host: 'fe80::1%eth0', port: 7000, db: 0 }],
  ...(
    [
      ['100%sure', '100%sure'],
      ['100%25sure', '100%sure'],
      ['50%', '50%'],
      ['p@ss/w#rd?', 'p@ss/w#rd?'],
      ['a:b', 'a:b'],
      ['%C3%BC%40', 'ü@'],
      ['%00%0A', '\0\n'],
    ] as const
  ).map(([written, password]): [string, string, object] => [
    `redis://:${written}@cache`,
    'redis://cache:6379',
    { host: 'cache', port: 6379, db: 0, password },
  ]),
]

describe('redis address', () => {
  for (const [address, display, connection, tls = false] of cases) {
    it(`takes ${address}`, () => assert.deepEqual(parseRedisAddress(address), { display, tls, connection }))
  }

  const refused: [address: string, why: RegExp][] = [
    ['', /is empty/],
    ['http://cache:6379', /http:\/\/ is the address of a web server/],
    ['redis-sentinel://cache:26379/mymaster', /redis-sentinel:\/\/ is not supported: give the address of the primary/],
    ['valkey://cache', /valkey:\/\/ is not known: write redis:/],
    ['redis://', /host is missing/],
    [':6379', /host is missing before the port/],
    ['6379', /bare number: write localhost:PORT/],
    ['cache:port', /port is no number from 1 to 65535/],
    ['cache:', /port is no number/],
    ['cache:0', /port is no number/],
    ['cache:70000', /port is no number/],
    ['cache:6379/name', /database behind the \/ is no number/],
    ['cache/99999999999', /database behind the \/ is no number/],
    ['cache/1?db=2', /given twice/],
    ['redis://::1', /IPv6 address stands in brackets/],
    ['::1', /IPv6 address stands in brackets/],
    ['redis://fe80::1%x:6379:1', /more than one colon|IPv6/],
    ['redis://[cache]', /no IPv6 address/],
    ['10.0.0.300', /no IP address/],
    ['ca$che', /host is no name/],
    ['a:6379,b:6379', /several hosts/],
    ['"cache"', /quotes/],
    ['redis://ca che', /space or control character/],
    ['redis://:sec\tret@cache', /space or control character/],
    ['./redis.sock', /has to begin with \//],
    ['//cache', /begins with one \//],
    [`/${'x'.repeat(107)}`, /at most 107 bytes/],
    ['unix://redis.sock', /begins with one \//],
    ['redis://secret@cache', /user:password, or :password/],
    ['redis://:secret', /host is missing before the port|port is no number/],
    ['redis://user:secret', /port is no number/],
    ['redis://:secret#1', /a # has no meaning there/],
    ['redis://:%ffsecret@cache', /write %25 for a percent sign/],
    ['redis://cache?password=secret', /parameter password is not known: write redis:\/\/user:password@host/],
    ['redis://cache?ssl=true', /write rediss:/],
    ['redis://cache?family=5', /family is 4, 6 or 0/],
    ['redis://cache?secret', /parameter secret is not known|name=value/],
  ]
  for (const [address, why] of refused) {
    it(`refuses ${JSON.stringify(address)}`, () => {
      assert.throws(
        () => parseRedisAddress(address),
        (error: Error) => {
          assert.match(error.message, why)
          assert.ok(error.message.replace('parameter secret', '').includes('secret') === false, error.message)
          return true
        },
      )
    })
  }
})
