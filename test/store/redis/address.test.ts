import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Credentials, parseRedisAddress, type RedisAddress } from '../../../src/store/redis/address.js'

interface Expected extends Credentials {
  readonly [key: string]: unknown
}

const cases: [address: string, display: string, connection: Expected, tls?: boolean][] = [
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
  ).map(([written, password]): [string, string, Expected] => [
    `redis://:${written}@cache`,
    'redis://cache:6379',
    { host: 'cache', port: 6379, db: 0, password },
  ]),
]

describe('redis address', () => {
  for (const [address, display, connection, tls = false] of cases) {
    it(`takes ${address}`, () => {
      const { username, password, ...rest } = connection
      const credentials = { ...(username && { username }), ...(password && { password }) }
      assert.deepEqual(parseRedisAddress(address), { kind: 'single', display, tls, credentials, connection: rest })
    })
  }

  const at = (host: string, port: number) => ({ host, port })
  const several: [address: string, expected: RedisAddress][] = [
    [
      'redis+sentinel://a,b:1,[::1]:2/mymaster',
      {
        kind: 'sentinel',
        display: 'redis+sentinel://a:26379,b:1,[::1]:2/mymaster',
        tls: false,
        credentials: {},
        sentinels: [at('a', 26_379), at('b', 1), at('::1', 2)],
        name: 'mymaster',
        db: 0,
      },
    ],
    [
      'rediss+sentinel://u:p,@/x@10.0.0.1:1/my.master-1_/3?family=4',
      {
        kind: 'sentinel',
        display: 'rediss+sentinel://10.0.0.1:1/my.master-1_/3',
        tls: true,
        credentials: { username: 'u', password: 'p,@/x' },
        sentinels: [at('10.0.0.1', 1)],
        name: 'my.master-1_',
        db: 3,
        family: 4,
      },
    ],
    [
      'redis+cluster://:p@a,b:7001',
      {
        kind: 'cluster',
        display: 'redis+cluster://a:6379,b:7001',
        tls: false,
        credentials: { password: 'p' },
        nodes: [at('a', 6379), at('b', 7001)],
      },
    ],
    [
      'REDISS+Cluster://[::1]:7001/0?family=6',
      {
        kind: 'cluster',
        display: 'rediss+cluster://[::1]:7001',
        tls: true,
        credentials: {},
        nodes: [at('::1', 7001)],
        family: 6,
      },
    ],
  ]
  for (const [address, expected] of several) {
    it(`takes ${address}`, () => assert.deepEqual(parseRedisAddress(address), expected))
  }

  const refused: [address: string, why: RegExp][] = [
    ['', /is empty/],
    ['http://cache:6379', /http:\/\/ is the address of a web server/],
    ['redis-sentinel://cache:26379/mymaster', /is not known: write redis\+sentinel:\/\/host,host\/NAME$/],
    ['rediss-cluster://cache', /is not known: write rediss\+cluster:\/\/host,host$/],
    ['redis+sentinel://cache:26379', /name of the primary is missing .*: redis\+sentinel:\/\/host:26379\/NAME/],
    ['redis+sentinel://cache/', /name of the primary is missing/],
    ['redis+sentinel://cache//1', /name of the primary is missing/],
    ['redis+sentinel://cache/my,master', /name of the primary consists of/],
    ['redis+sentinel://cache/name/secret', /database .* is no number/],
    ['redis+sentinel://cache/name/1?db=1', /given twice/],
    ['redis+sentinel://a,,b/name', /host is missing/],
    ['redis+sentinel:///name', /host is missing/],
    ['redis+sentinel://:secret,a:6379/name', /host is missing before the port/],
    ['redis+cluster://a,b:x', /port is no number/],
    ['redis+cluster://a/1', /a cluster has only the database 0/],
    ['redis+cluster://a?db=1', /a cluster has only the database 0/],
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
    ['redis://secret@cache', /user:password, :password without a user, or user: .*the colon is missing/],
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
