import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../../harness/agent.js'
import { Calls } from '../../../harness/calls.js'
import { makeAuthority } from '../../../harness/certificates.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, type TestRedis } from '../../../harness/redis.js'
import { RedisCluster } from '../../../harness/redis-cluster.js'
import { RedisSentinels } from '../../../harness/sentinels.js'
import { examine } from '../../cli/doctor/examine.js'
import { awaitGate, Gate } from '../../support/scripts.js'
import { storedOf } from '../../support/stored.js'
import { refusalsOf, setDocumentedUser } from './documented-user.js'

/** All at once: TLS with certificates for both sides, a user that has what the document says, passwords in files. */
describe('an agent whose Redis lets in nobody else', { skip: noRedis ?? false }, () => {
  const dir = makeTempDir('flux-redis-secured-')
  const file = (name: string, contents: string) => {
    writeFileSync(join(dir, name), contents, { mode: 0o600 })
    return join(dir, name)
  }
  /** Of the agent's configuration. */
  let keys: Record<string, string>
  /** Of each Redis and Sentinel. */
  let tls: string[]

  before(async () => {
    const authority = await makeAuthority('redis-ca')
    const [own, client] = await Promise.all([
      // Not for 127.0.0.1.
      authority.issue({ subject: 'CN=localhost', san: [{ type: 'dns', value: 'localhost' }] }),
      authority.issue({ subject: 'CN=agent' }),
    ])
    const ca = file('ca.pem', authority.cert)
    keys = {
      ca_cert: ca,
      cert_file: file('client.pem', client.cert),
      key_file: file('client-key.pem', client.key),
      password_file: file('password', 'secret\n'),
    }
    tls = ['--tls-cert-file', file('redis.pem', own.cert), '--tls-key-file', file('redis-key.pem', own.key)]
    tls.push('--tls-ca-cert-file', ca)
  })

  /** Runs executions while it `happens`, which may start another, and ends what an agent that was killed has left. */
  async function serves(
    redis: Pick<TestRedis, 'address' | 'primaryOf' | 'servers'>,
    config: Record<string, unknown>,
    happens: (start: (id: string) => Promise<string>) => Promise<unknown>,
  ): Promise<void> {
    await Promise.all(redis.servers.map((server) => setDocumentedUser(server)))
    let agent = await startTestAgent({ config: { ...config, survive_seconds: 0 } })
    let calls = new Calls(agent.client)
    await calls.script('gated', `echo before; ${awaitGate(1)}; echo after`)
    const gate = new Gate()
    const left = await calls.start('gated', [gate.path])
    await calls.printed(left, 'before')
    const ids = [left]
    await happens(async (id) => {
      ids.push(id)
      return calls.start('gated', [gate.path], id)
    })
    for (const id of ids) {
      await eventually('it is stored', async () => String((await storedOf(redis, id)).output) === 'before\n')
    }
    await agent.kill()
    agent = await startTestAgent({ config, dir: agent.dir })
    calls = new Calls(agent.client)
    for (const id of ids) assert.equal((await calls.record(id)).error, 'agent restarted')
    gate.open()
    const again = await calls.start('gated', [gate.path])
    const ended = async () => (await storedOf(redis, again)).record?.status === 'success'
    await eventually('it is stored', ended)
    assert.equal(String((await storedOf(redis, again)).output), 'before\nafter\n')
    await agent.stop()
    for (const server of redis.servers) assert.deepEqual(await refusalsOf(server), [])
    const { findings } = await examine(config)
    assert.deepEqual(
      findings.filter(({ subject, level }) => /store|redis password|cluster|sentinel/.test(subject) && level !== 'ok'),
      [],
    )
  }

  it('is served by a cluster whose nodes announce names, also while a slot moves', async (t) => {
    const named = ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname']
    const cluster = await RedisCluster.start({ replicas: 0, tls, redis: named })
    t.after(() => cluster.stop())
    // One of them; the others are found.
    const redis_addr = `rediss+cluster://flux-agent:@localhost:${cluster.servers[0]?.tlsPort}`
    await serves(cluster, { redis_addr, redis: keys }, async (start) => {
      const id = randomUUID()
      await cluster.moveSlot(`flux:exec:${id}`, () => start(id))
    })
    for (const server of cluster.servers) await setDocumentedUser(server, '-asking')
    const { find } = await examine({ redis_addr, redis: keys })
    assert.equal(find('store')?.fix, 'let its user do that: ACL SETUSER flux-agent +asking')
  })

  it('is served by the Redis that Sentinels name, also after a failover', async (t) => {
    const set = await RedisSentinels.start({ tls })
    t.after(() => set.stop())
    for (const sentinel of set.sentinels) {
      const needed = ['+auth', '+sentinel|get-master-addr-by-name', '+sentinel|master']
      await sentinel.with((redis) => redis.call('ACL', 'SETUSER', 'watcher', 'on', '>watch', ...needed))
    }
    const redis = {
      ...keys,
      server_name: 'localhost',
      sentinel_user: 'watcher',
      sentinel_password_file: file('sentinel', 'watch\n'),
    }
    const redis_addr = set.address.replace('//', '//flux-agent:@')
    await serves(set, { redis_addr, redis }, () => set.failOver())
    for (const sentinel of set.sentinels) assert.deepEqual(await refusalsOf(sentinel), [])
  })
})
