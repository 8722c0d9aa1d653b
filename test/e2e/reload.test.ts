import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { issueAgent, makeCertificates, serialOf, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { buildZip, FILE } from '../../harness/zip.js'
import { agentFor } from '../support/describe-agent.js'
import { clientsTo, mutualTls, statusOf } from '../support/flux-client.js'
import { handshake } from '../support/health-server.js'
import { edit, noReload, refusedReload, reload, said, WARN } from '../support/reload.js'
import { awaitGate, Gate } from '../support/scripts.js'

const { authority, agent: identity, flux } = await makeCertificates()
const WAIT = { max_concurrency_behavior: 'wait' }

function tlsKeys(dir: string, certificate = identity) {
  const { caCert, certFile, keyFile } = writeAgentFiles(dir, authority, certificate)
  return { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
}

describe('a reload', { skip: noReload }, () => {
  it('gives places to those that wait as max_tasks rises, and takes none as it falls', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { max_tasks: 1, max_queued: 3 } })
    const gate = new Gate()
    await calls.script('hold', `echo begun; ${awaitGate(1)}`, WAIT)
    const ids = [await calls.start('hold', [gate.path]), await calls.start('hold', [gate.path])]
    ids.push(await calls.start('hold', [gate.path]))
    const active = async () => (await calls.status()).active_tasks
    assert.equal(await active(), 1)

    assert.deepEqual(await reload(agent, { max_tasks: 2 }), { max_tasks: '1 → 2' })
    await calls.printed(ids[1] as string, 'begun')
    assert.equal((await calls.status()).max_tasks, 2)
    assert.equal(await active(), 2)

    await reload(agent, { max_tasks: 1, max_queued: 1 })
    assert.deepEqual([await active(), (await calls.status()).max_tasks], [2, 1])
    assert.equal((await calls.execute({ function_name: 'hold' })).error, 'function hold at capacity')
    await calls.cancel(ids[0] as string)
    // One place less than before, so that the third waits on.
    assert.equal(await active(), 1)
    assert.equal((await calls.record(ids[2] as string)).output, undefined)

    await reload(agent, { max_tasks: 0 })
    await calls.printed(ids[2] as string, 'begun')
    gate.open()
    for (const id of ids.slice(1)) assert.equal((await calls.ended(id)).status, 'success')
  })

  it('bounds the output of the executions that come, not of those that run', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { max_output_bytes: '1MiB', workers: 2 } })
    const gate = new Gate()
    await calls.script('print', `echo begun; ${awaitGate(1)}; head -c 800000 /dev/zero`)
    const earlier = await calls.start('print', [gate.path])
    await calls.printed(earlier, 'begun')
    const changed = await reload(agent, { max_output_bytes: '128KiB' })
    assert.deepEqual(changed, { max_output_bytes: '1048576 → 131072' })
    gate.open()
    assert.equal((await calls.ended(earlier)).output_bytes, 800_006)
    // On every thread.
    for (let i = 0; i < 4; i++) {
      const { output } = await calls.execute({ function_name: 'print', args: [gate.path] })
      assert.ok(output.length < 200_000, `${output.length} bytes`)
    }
  })

  it('bounds the archives that come', async (t) => {
    const [agent, calls] = await agentFor(t)
    const archive = buildZip(['main.sh', 'a', 'b'].map((name) => ({ name, contents: '#!/bin/sh\n', mode: FILE })))
    const deploy = async (name: string) => (await calls.deploy(name, archive, { name, handler: 'main.sh' })).message
    await reload(agent, { archive: { max_entries: 2 } })
    assert.match(await deploy('few'), /2/)
    await reload(agent, { archive: { max_entries: 3 } })
    assert.equal((await calls.deploy('more', archive, { name: 'more', handler: 'main.sh' })).success, true)
  })

  it('decides how long a stop lets executions run', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { drain_seconds: 600 } })
    await calls.script('long', 'echo begun; exec sleep 600')
    await calls.printed(await calls.start('long'), 'begun')
    await reload(agent, { drain_seconds: 0 })
    const begun = performance.now()
    assert.equal(await agent.stop(), 0)
    assert.ok(performance.now() - begun < 20_000)
  })

  it('lets another client in and the one before no more, on the connections they have', async (t) => {
    const tls = tlsKeys(makeTempDir('flux-reload-'))
    const [agent, calls] = await agentFor(t, { config: { tls }, credentials: mutualTls(authority.cert, flux) })
    const operator = await authority.issue({ subject: 'CN=operator' })
    const other = clientsTo(agent.port, mutualTls(authority.cert, operator))
    t.after(() => other.close())
    const statuses = async () => [await statusOf(calls.health()), await statusOf(new Calls(other.agent).health())]
    assert.deepEqual(await statuses(), ['OK', 'PERMISSION_DENIED'])
    const changed = await reload(agent, { tls: { ...tls, allowed_clients: ['operator'] } })
    assert.deepEqual(changed, { 'tls.allowed_clients': 'flux → operator' })
    assert.deepEqual(await statuses(), ['PERMISSION_DENIED', 'OK'])
    await reload(agent, { tls: { ...tls, allowed_clients: ['operator', 'flux'] } })
    assert.deepEqual(await statuses(), ['OK', 'OK'])
  })

  it('has the next connection meet a renewed certificate, of the same files or of others', async (t) => {
    const dir = makeTempDir('flux-reload-')
    const tls = tlsKeys(dir)
    const [agent, calls] = await agentFor(t, { config: { tls }, credentials: mutualTls(authority.cert, flux) })
    const met = async () => {
      const result = await handshake(agent.port, authority.cert, { identity: flux })
      return result.kind === 'accepted' && result.serial
    }
    const renewed = await issueAgent(authority)
    writeAgentFiles(dir, authority, renewed)
    await reload(agent, {})
    assert.equal(await met(), serialOf(renewed))

    const elsewhere = await issueAgent(authority)
    const moved = tlsKeys(join(dir, 'other'), elsewhere)
    const changed = await reload(agent, { tls: moved })
    assert.deepEqual(Object.keys(changed ?? {}), ['tls.ca_cert', 'tls.cert_file', 'tls.key_file'])
    assert.equal(await met(), serialOf(elsewhere))
    // From now on these are watched.
    const again = await issueAgent(authority)
    tlsKeys(join(dir, 'other'), again)
    await eventually('the certificate renewed there', async () => (await met()) === serialOf(again))
    assert.equal((await calls.health()).healthy, true)
  })

  it('of a file with wrong values changes nothing, and says what is wrong', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { max_tasks: 1 } })
    const errors = await refusedReload(agent, { max_tasks: 2, max_queued: 'many', log_level: 'loud' }, 2)
    const goesOn = 'the agent goes on with the configuration in use'
    assert.deepEqual(errors, [
      `${agent.configFile}: max_queued: "many" is not allowed; allowed: a whole number from 0 to 1000000; ${goesOn}`,
      `${agent.configFile}: log_level: "loud" is not allowed; allowed: one of debug, info, warn, error; ${goesOn}`,
    ])
    assert.equal((await calls.status()).max_tasks, 1)
    assert.deepEqual(await reload(agent, { max_queued: 5, log_level: 'info' }), {
      max_tasks: '1 → 2',
      max_queued: '1000 → 5',
    })
  })

  it('of TLS files that do not fit together changes nothing', async (t) => {
    const dir = makeTempDir('flux-reload-')
    const tls = tlsKeys(dir)
    const [agent, calls] = await agentFor(t, { config: { tls }, credentials: mutualTls(authority.cert, flux) })
    const other = tlsKeys(join(dir, 'other'), await issueAgent(authority))
    const errors = await refusedReload(agent, { max_tasks: 3, tls: { ...other, key_file: tls.key_file } })
    assert.equal(errors.length, 1, errors.join('\n'))
    assert.match(
      errors[0] ?? '',
      /agent-key\.pem: is not the key of .*other\/agent\.pem; replace both .*; the agent goes on/,
    )
    assert.equal((await calls.status()).max_tasks, 0)
    const now = await handshake(agent.port, authority.cert, { identity: flux })
    assert.equal(now.kind === 'accepted' && now.serial, serialOf(identity))
  })

  it('names each key that takes a restart, as long as it differs, and never a password', async (t) => {
    const [agent, calls] = await agentFor(t)
    const takes = (key: string) => `${key}: changed in ${agent.configFile}; takes effect after a restart`
    const from = agent.logs().length
    const keys = { port: 1, workers: 3, redis_addr: 'redis://:hunter2@127.0.0.1' }
    assert.deepEqual(await reload(agent, { ...keys, max_tasks: 7 }), { max_tasks: '0 → 7' })
    assert.deepEqual(said(agent, WARN, from), [takes('port'), takes('redis_addr'), takes('workers')])
    assert.deepEqual(await reload(agent, { workers: 1, redis_addr: 'embedded' }), {})
    assert.deepEqual(said(agent, WARN, from).slice(3), [takes('port')])
    await reload(agent, { port: 0 })
    assert.equal(said(agent, WARN, from).length, 4)
    assert.equal((await calls.health()).healthy, true)
    assert.doesNotMatch(agent.logs(), /hunter2/)
  })

  it('sets the log level of every thread', { skip: noRedis }, async (t) => {
    const redis = await RedisServer.start()
    t.after(() => redis.stop())
    const [agent, calls] = await agentFor(t, { config: { redis_addr: redis.address } })
    await calls.script('hi', 'echo hi')
    edit(agent.configFile, { log_level: 'error', max_tasks: 9 })
    process.kill(agent.pid, 'SIGHUP')
    await eventually('it is taken over', async () => (await calls.status()).max_tasks === 9)
    await redis.halt()
    // Its thread would say that the store is away.
    const id = await calls.start('hi')
    await eventually('it has ended', async () => (await calls.status()).active_tasks === 0)
    assert.deepEqual(await reload(agent, { log_level: 'info' }), { log_level: 'error → info' })
    await redis.restart()
    await calls.ended(id)
    await eventually('its thread says that the store is back', () => /"worker":\d+.*store is back/.test(agent.logs()))
    assert.doesNotMatch(agent.logs(), /"worker":\d+.*store is away/)
  })
})
