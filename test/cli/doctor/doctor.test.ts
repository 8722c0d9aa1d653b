import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { makeTempDir, startTestAgent } from '../../../harness/agent.js'
import {
  type Certificates,
  issueAgent,
  makeAuthority,
  makeCertificates,
  writeAgentFiles,
} from '../../../harness/certificates.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { runCli } from '../../support/cli.js'
import { METRICS_ON, metricsUrl } from '../../support/metrics.js'
import { examine } from './examine.js'

const DAY = 86_400_000
let certificates: Certificates

before(async () => {
  certificates = await makeCertificates()
})

function tlsKeys(authority: Parameters<typeof writeAgentFiles>[1], identity: Parameters<typeof writeAgentFiles>[2]) {
  const { caCert, certFile, keyFile } = writeAgentFiles(makeTempDir('flux-agent-doctor-'), authority, identity)
  return { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
}

async function listen(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as { port: number }).port }
}

test('where all is well no check fails, and nothing is made', async () => {
  const dir = makeTempDir('flux-agent-doctor-')
  const tls = tlsKeys(certificates.authority, certificates.agent)
  const { code, findings } = await examine({ tls }, dir)
  assert.equal(code, 0)
  assert.deepEqual(
    findings.filter(({ level }) => level === 'fail'),
    [],
  )
  const subjects = new Set(findings.map(({ subject }) => subject))
  for (const subject of [
    'node',
    'config',
    'user',
    'state',
    'apps',
    'store',
    'port',
    'metrics',
    'tls key',
    'tls ca',
    'tls name',
  ])
    assert.ok(subjects.has(subject), subject)
  assert.deepEqual(readdirSync(dir), ['agent.yaml'])
})

test('stored functions that a start leaves out, or that say what is surely not meant, are warned of', {
  skip: noRedis ?? false,
}, async (t) => {
  const redis = await RedisServer.start()
  t.after(() => redis.stop())
  const { find } = await examine({ redis_addr: redis.address })
  assert.deepEqual(find('functions'), { level: 'ok', subject: 'functions', message: '0 stored' })
  await redis.with((client) =>
    client.mset({
      'agent:function:good': '{"Handler":"main.sh"}',
      'agent:function:cores': '{"Handler":"main.sh","Resources":{"CPU":1}}',
      'agent:function:outside': '{"Handler":"../main.sh"}',
      'agent:function:broken': '{"Handler":7}',
    }),
  )
  const { code, findings } = await examine({ redis_addr: redis.address })
  assert.equal(code, 0)
  const messages = findings.filter(({ subject }) => subject === 'functions').map(({ message }) => message)
  assert.equal(messages.length, 3, messages.join('\n'))
  for (const expected of [
    /^function cores: cpu_millicores 1 is not enforced/,
    /^stored function is not loaded: function outside: handler .*; register it again$/,
    /^stored function broken is not readable: Handler: /,
  ]) {
    assert.ok(
      messages.some((message) => expected.test(message)),
      `${expected}: ${messages.join('\n')}`,
    )
  }
})

test('who holds the name of the agent is told, and it is not taken', { skip: noRedis ?? false }, async (t) => {
  const redis = await RedisServer.start()
  t.after(() => redis.stop())
  const key = 'flux-agent:agent:node-1'
  const keys = { agent_id: 'node-1', redis_addr: redis.address }
  const name = async (dir?: string) => {
    const { code, find } = await examine(keys, dir)
    return { code, ...find('name') }
  }
  const free = { code: 0, level: 'ok', subject: 'name', message: 'node-1 is free' }
  assert.deepEqual(await name(), free)
  assert.equal(await redis.with((client) => client.exists(key)), 0)

  const agent = await startTestAgent({ config: keys })
  t.after(() => agent.stop())
  const held = await redis.with((client) => client.get(key))
  const other = await name()
  const who = `node-1 is held by the agent on ${hostname()}, process ${agent.pid}, since `
  assert.equal(other.level, 'fail')
  assert.ok(other.message?.startsWith(who), other.message)
  assert.equal(other.fix, 'stop that one, or give this agent another agent_id')
  const own = await examine({ ...keys, state_dir: join(agent.dir, 'state') })
  assert.equal(own.find('name')?.level, 'ok')
  assert.match(own.find('name')?.message ?? '', /^node-1 is held by .*, with this state_dir$/)
  assert.equal(await redis.with((client) => client.get(key)), held)

  await agent.stop()
  await redis.with((client) => client.set(key, held ?? '', 'PX', 9_000))
  const silent = await name()
  assert.equal(silent.level, 'warn')
  assert.match(silent.message ?? '', /, which no longer renews its lease$/)
  assert.match(silent.fix ?? '', /^a start waits until its lease ends, in [1-9] s$/)
})

test('people get a line a check', async () => {
  const { stdout } = await runCli(['doctor'], { cwd: makeTempDir('flux-agent-doctor-') })
  for (const line of stdout.toString().trimEnd().split('\n')) assert.match(line, /^(ok {2}|warn|FAIL) {2}\S.* {2}\S/)
})

test('a configuration that cannot be used fails, a line a problem', async () => {
  const { code, findings } = await examine({ port: 'many', run_as: '' })
  assert.equal(code, 1)
  assert.match(findings.find(({ level }) => level === 'fail')?.message ?? '', /port: "many" is not allowed/)
})

test('a user that does not exist fails, with the command that makes it', async () => {
  const { code, find } = await examine({ run_as: 'nobody-of-that-name' })
  assert.equal(code, 1)
  assert.equal(find('user')?.level, 'fail')
  assert.match(find('user')?.fix ?? '', /nobody-of-that-name/)
})

test('user ids for functions that somebody has fail', { skip: process.getuid?.() !== 0 }, async () => {
  const { code, find } = await examine({ run_as: 'nobody', functions: { uids: '65000-70000' } })
  assert.equal(code, 1)
  const { message, fix } = find('uids') ?? {}
  assert.match(message ?? '', /^functions\.uids: 65000-70000 takes id 6\d+, which user \w+ has$/)
  assert.equal(fix, 'give a range of ids that nobody has')
  assert.equal((await examine({ run_as: 'nobody' })).find('uids'), undefined)
})

test('folders that cannot be made or written fail', async (t) => {
  const dir = makeTempDir('flux-agent-doctor-')
  await t.test('below a file', async () => {
    const file = join(dir, 'file')
    writeFileSync(file, '')
    const { code, find } = await examine({ apps_dir: file })
    assert.equal(code, 1)
    assert.equal(find('apps')?.level, 'fail')
    assert.match(find('apps')?.message ?? '', /is not a folder/)
  })
  await t.test('without permission', { skip: process.getuid?.() === 0 && 'root may write everywhere' }, async () => {
    const closed = join(dir, 'closed')
    mkdirSync(closed)
    chmodSync(closed, 0o500)
    const { find } = await examine({ state_dir: join(closed, 'state') })
    assert.match(find('state')?.message ?? '', /cannot be written \(EACCES\)/)
  })
})

test('a Redis that does not answer fails', async () => {
  const { server, port } = await listen()
  server.close()
  const { code, find } = await examine({ redis_addr: `127.0.0.1:${port}` })
  assert.equal(code, 1)
  assert.equal(find('store')?.level, 'fail')
  assert.match(find('store')?.fix ?? '', /redis_addr/)
})

test('a port that another program has fails, and one that an agent has does not', async () => {
  const { server, port } = await listen()
  const taken = await examine({ port })
  server.close()
  assert.equal(taken.code, 1)
  assert.match(taken.find('port')?.message ?? '', /another program listens there/)

  const agent = await startTestAgent()
  const { code, find } = await examine({ port: agent.port, agent_id: 'test-agent' })
  const other = await examine({ port: agent.port, agent_id: 'other' })
  await agent.stop()
  assert.equal(other.code, 1)
  assert.match(other.find('port')?.message ?? '', /^the agent ".+" listens on /)
  assert.equal(code, 0)
  assert.match(find('port')?.message ?? '', /^a flux-agent, version .* listens on/)
})

test('an address for metrics that another program has fails, and one that serves them does not', async (t) => {
  assert.match((await examine({})).find('metrics')?.message ?? '', /^none: /)
  const { server, port } = await listen()
  t.after(() => server.close())
  const taken = await examine({ metrics: { listen: `127.0.0.1:${port}` } })
  assert.equal(taken.code, 1)
  assert.match(
    taken.find('metrics')?.message ?? '',
    /^metrics\.listen: 127\.0\.0\.1:\d+: another program listens there/,
  )

  const agent = await startTestAgent({ config: METRICS_ON })
  t.after(() => agent.stop())
  const url = metricsUrl(agent)
  const metrics = { listen: new URL(url).host }
  const own = await examine({ metrics, agent_id: 'test-agent' })
  assert.deepEqual([own.code, own.find('metrics')?.message], [0, `this agent serves them on ${url}`])
  assert.equal((await examine({ metrics, agent_id: 'other' })).code, 1)
})

test('certificates that the control plane or TLS would not take fail', async (t) => {
  const { authority, agent } = certificates
  const cases: Record<string, [keys: Promise<object> | object, subject: string]> = {
    'a key of another certificate': [tlsKeys(authority, { cert: agent.cert, key: certificates.flux.key }), 'tls key'],
    'another authority': [makeAuthority('other').then((other) => tlsKeys(other, agent)), 'tls ca'],
    'another name': [tlsKeys(authority, certificates.flux), 'tls name'],
    'one that has expired': [
      issueAgent(authority, { notAfter: new Date(Date.now() - DAY / 2) }).then((old) => tlsKeys(authority, old)),
      'tls dates',
    ],
    'one for later': [
      issueAgent(authority, { notBefore: new Date(Date.now() + DAY) }).then((early) => tlsKeys(authority, early)),
      'tls dates',
    ],
    'a file that holds none': [tlsKeys({ ...authority, cert: 'none' }, agent), 'tls'],
  }
  for (const [name, [keys, subject]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { code, find } = await examine({ tls: await keys })
      assert.equal(code, 1)
      assert.equal(find(subject)?.level, 'fail')
      assert.ok(find(subject)?.fix)
    })
  }
})

test('what is unsafe about certificates is warned of', async (t) => {
  const { authority, agent } = certificates
  await t.test('one that expires soon', async () => {
    const soon = await issueAgent(authority, { notAfter: new Date(Date.now() + 3.5 * DAY) })
    const { code, find } = await examine({ tls: tlsKeys(authority, soon) })
    assert.equal(code, 0)
    assert.deepEqual([find('tls dates')?.level, find('tls dates')?.message], ['warn', 'expires in 3 days'])
  })
  await t.test('a key that others may read', async () => {
    const tls = tlsKeys(authority, agent)
    chmodSync(tls.key_file, 0o644)
    assert.equal((await examine({ tls })).find('tls key file')?.level, 'warn')
  })
  await t.test('agents that may command each other', async () => {
    const tls = { ...tlsKeys(authority, agent), allowed_clients: ['flux', 'flux-agent'] }
    assert.equal((await examine({ tls })).find('tls callers')?.level, 'warn')
  })
})
