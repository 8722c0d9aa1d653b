import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, before, it, type TestContext } from 'node:test'
import { startTestAgent, type TestAgent } from '../support/agent.js'
import { Calls } from '../support/calls.js'
import { eventually } from '../support/eventually.js'
import { describeLatencies, type Measured, measureHealth, ownP99 } from '../support/health-probe.js'
import { processesWith } from '../support/proc.js'
import { onEachStore } from '../support/stores.js'
import { buildZip, PROGRAM } from '../support/zip.js'

const MiB = 2 ** 20
const LIMIT_MS = 50
/** A machine that does something else for a moment may spoil one. */
const ATTEMPTS = 3

/** Health checks that go on during `work` are answered within LIMIT_MS, beyond what this machine adds to any answer. */
async function staysHealthy(t: TestContext, port: number, work: () => Promise<unknown>): Promise<void> {
  let measured: Measured
  let attempt = 1
  do {
    measured = await measureHealth(port, work)
    t.diagnostic(`health checks meanwhile, ${describeLatencies(measured)}`)
  } while (ownP99(measured) > LIMIT_MS && attempt++ < ATTEMPTS)
  assert.ok(ownP99(measured) <= LIMIT_MS, describeLatencies(measured))
}

onEachStore('health checks stay fast', (address) => {
  const marker = randomUUID()
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({ config: { redis_addr: address(), max_output_bytes: '40MiB' } })
    calls = new Calls(agent.client)
    await calls.script('print', 'head -c "$1" /dev/urandom | base64 -w 0', { env: { LOAD: marker } })
    await calls.script('sleep', 'exec sleep 60', { env: { LOAD: marker } })
  })
  after(() => agent.stop())

  const print = async (bytes: number) => {
    const id = await calls.start('print', [String(Math.floor((bytes * 3) / 4))])
    const { status, output } = await calls.ended(id, 60)
    assert.deepEqual([status, output?.length], ['success', bytes])
    return id
  }
  const printUnread = async (bytes: number) => {
    const id = await calls.start('print', [String(Math.floor((bytes * 3) / 4))])
    await eventually(`${id} is over`, async () => (await calls.status()).active_tasks === 0, 60)
    return id
  }

  it('while an async execution prints 40 MB', async (t) => {
    await staysHealthy(t, agent.port, async () => {
      for (let i = 0; i < 3; i++) await printUnread(40_000_000)
    })
  })

  it('while eight async executions print 40 MB together', async (t) => {
    await staysHealthy(t, agent.port, async () => {
      await Promise.all(Array.from({ length: 8 }, () => printUnread(5_000_000)))
    })
  })

  it('while a record of 30 MB is read', async (t) => {
    const id = await print(30_000_000)
    await staysHealthy(t, agent.port, async () => {
      for (let i = 0; i < 5; i++) assert.equal((await calls.get(id)).data.length > 30_000_000, true)
    })
  })

  it('while 500 executions start at once and are cancelled', async (t) => {
    await staysHealthy(t, agent.port, async () => {
      const ids = await Promise.all(Array.from({ length: 500 }, () => calls.start('sleep')))
      assert.equal((await calls.status()).active_tasks, 500)
      const ends = await Promise.all(ids.map((id) => calls.cancel(id)))
      assert.ok(ends.every(({ success }) => success))
    })
    assert.equal((await calls.status()).active_tasks, 0)
    assert.deepEqual(processesWith('LOAD', marker), [])
  })

  it('while an archive of 40 MB is deployed', async (t) => {
    await staysHealthy(t, agent.port, async () => {
      const main = { name: 'main', contents: '#!/bin/sh\n', mode: PROGRAM }
      const archive = buildZip([main, { name: 'data', contents: randomBytes(40 * MiB), stored: true }])
      const ack = await calls.deploy('large', archive, { name: 'large', handler: 'main' })
      assert.equal(ack.success, true, ack.message)
    })
  })
})
