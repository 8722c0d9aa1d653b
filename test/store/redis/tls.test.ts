import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../../harness/agent.js'
import { Calls } from '../../../harness/calls.js'
import { makeAuthority } from '../../../harness/certificates.js'
import { eventually } from '../../../harness/eventually.js'
import { FREE_PORT, noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisSentinels } from '../../../harness/sentinels.js'
import type { RedisAccess } from '../../../src/store/redis/access.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { examine } from '../../cli/doctor/examine.js'
import { output } from '../records.js'
import { readProblem } from './problem.js'

describe('Redis with TLS and a private authority', { skip: noRedis ?? false }, () => {
  const dir = makeTempDir('flux-redis-tls-')
  const file = (name: string) => join(dir, name)
  const tls: RedisAccess = { caCert: file('ca.pem'), certFile: file('client.pem'), keyFile: file('client-key.pem') }
  const keys = { ca_cert: tls.caCert, cert_file: tls.certFile, key_file: tls.keyFile }
  let server: RedisServer
  let port: number
  let options: readonly string[]

  before(async () => {
    const authority = await makeAuthority('redis-ca')
    const own = await authority.issue({ subject: 'CN=localhost', san: [{ type: 'dns', value: 'localhost' }] })
    const client = await authority.issue({ subject: 'CN=agent' })
    writeFileSync(file('ca.pem'), authority.cert)
    writeFileSync(file('other-ca.pem'), (await makeAuthority('other')).cert)
    writeFileSync(file('redis.pem'), own.cert)
    writeFileSync(file('redis-key.pem'), own.key)
    writeFileSync(file('client.pem'), client.cert)
    writeFileSync(file('client-key.pem'), client.key)
    const files = { 'tls-cert-file': 'redis.pem', 'tls-key-file': 'redis-key.pem', 'tls-ca-cert-file': 'ca.pem' }
    options = Object.entries(files).flatMap(([option, name]) => [`--${option}`, file(name)])
    server = await RedisServer.start('--tls-port', FREE_PORT, ...options)
    port = server.tlsPort as number
  })
  after(() => server.stop())

  it('takes what it is given with the authority and a certificate', async () => {
    for (const [host, options] of [
      ['localhost', tls],
      ['127.0.0.1', { ...tls, serverName: 'localhost' }],
    ] as const) {
      const store = new RedisStore(`rediss://${host}:${port}`, options)
      await store.probe()
      await store.close()
    }
  })

  it('is refused with the key that is missing', async () => {
    const refused: readonly [string, RedisAccess | undefined, RegExp][] = [
      ['localhost', undefined, /self-signed certificate in certificate chain; give the authority .* redis\.ca_cert$/],
      ['localhost', { ...tls, caCert: file('other-ca.pem') }, /certificate.*redis\.ca_cert$/],
      ['localhost', { caCert: file('ca.pem') }, /certificate required; give a certificate .* redis\.cert_file/],
      ['127.0.0.1', tls, /altnames.*; its certificate has another name: .* redis\.server_name$/],
    ]
    for (const [host, options, expected] of refused) {
      const error = await readProblem(`rediss://${host}:${port}`, expected, options)
      assert.equal(error.permanent, true)
    }
  })

  it('and the port without TLS are not the same', async () => {
    await readProblem(`redis://localhost:${port}`, /(rediss:\/\/)/)
    await readProblem(`rediss://localhost:${server.port}`, /redis:\/\/ instead of rediss|speaks no TLS/, tls)
  })

  it('is spoken with Sentinels, too, and with the primary that they name', async (t) => {
    const set = await RedisSentinels.start({ tls: options })
    t.after(() => set.stop())
    const error = await readProblem(set.address, /Sentinels answers: .*certificate.*redis\.ca_cert$/)
    assert.equal(error.permanent, true)
    const store = new RedisStore(set.address, { ...tls, serverName: 'localhost' })
    t.after(() => store.close())
    await store.probe()
    // As while it is being replaced.
    const certificate = readFileSync(file('client.pem'))
    writeFileSync(file('client.pem'), '')
    t.after(() => writeFileSync(file('client.pem'), certificate))
    const primary = await set.failOver()
    await eventually('it writes to the new primary', async () => {
      await store.write([output('tls', 0, 'x')])
      return (await primary.with((redis) => redis.get('flux:exec-output:tls'))) === 'x'
    })
  })

  it('serves an agent, its threads too; doctor tells files that do not fit', async (t) => {
    const redis_addr = `rediss://localhost:${port}`
    const agent = await startTestAgent({ config: { redis_addr, redis: keys, workers: 1 } })
    t.after(() => agent.stop())
    const calls = new Calls(agent.client)
    await calls.script('hello', 'echo hello')
    const id = await calls.start('hello')
    await eventually(
      'it is stored',
      async () => (await server.with((r) => r.get(`flux:exec-output:${id}`))) === 'hello\n',
    )

    const right = await examine({ redis_addr, redis: keys })
    assert.equal(right.find('store')?.level, 'ok')
    const dates = right.findings.filter(({ subject }) => subject === 'redis tls').map(({ message }) => message)
    assert.match(
      dates.join('\n'),
      /^\S+ca\.pem: (valid until|expires in).*\n\S+client\.pem: (valid until|expires in).*$/,
    )
    const wrong: readonly [object, RegExp][] = [
      [{ ...keys, ca_cert: file('none.pem') }, /redis\.ca_cert: .*none\.pem cannot be read \(ENOENT\)/],
      [{ ...keys, ca_cert: file('client-key.pem') }, /redis\.ca_cert: .*client-key\.pem holds no certificate/],
      [{ ...keys, key_file: file('redis-key.pem') }, /redis\.key_file: .*redis-key\.pem holds no key.*client\.pem/],
      [{ cert_file: keys.cert_file }, /redis\.key_file is missing/],
    ]
    for (const [redis, expected] of wrong) {
      const { find } = await examine({ redis_addr, redis })
      assert.match(find('config')?.message ?? '', expected)
    }
    const { find } = await examine({ redis_addr: 'localhost', redis: keys })
    assert.match(find('config')?.message ?? '', /redis: redis_addr is without TLS; write rediss:/)
  })
})
