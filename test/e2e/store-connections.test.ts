import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { eventually } from '../../harness/eventually.js'
import type { RedisServer } from '../../harness/redis.js'
import { type AgentInProcess, startAgentInProcess } from '../support/agent-in-process.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { storedOf } from '../support/stored.js'
import { onEachRedis } from '../support/stores.js'

const WORKERS = 8
const MOST = 4
const PRINTED = 200_000

onEachRedis('connections to Redis', { primaries: 6 }, (redis) => {
  let agent: AgentInProcess
  let workers: readonly Worker[]

  before(async () => {
    agent = await startAgentInProcess({ redis_addr: redis.address, workers: WORKERS })
    // Deploys have a thread of their own.
    workers = [...agent.threads]
    await agent.calls.script('much', `head -c ${PRINTED} /dev/zero | tr '\\0' x; ${awaitGate(1)}; echo end`)
  })
  after(() => agent.stop())

  /** To each node, without the one that asks. */
  const connections = () => Promise.all(redis.servers.map(connectionsTo))

  it('are at most four, however many workers there are, and each worker stores and reads', async () => {
    const gate = new Gate()
    const ids = await Promise.all(Array.from({ length: 3 * WORKERS }, () => agent.calls.start('much', [gate.path])))
    for (const id of ids) {
      await eventually(`${id} is stored`, async () => {
        return (await storedOf(redis, id)).output.length === PRINTED
      })
    }
    assert.deepEqual(
      await connections(),
      redis.servers.map(() => MOST),
    )
    gate.open()
    for (const id of ids) {
      const { status, output } = await agent.calls.ended(id)
      assert.deepEqual([status, output], ['success', `${'x'.repeat(PRINTED)}end\n`])
    }
    // Read from the store, by whichever worker.
    for (const id of ids) assert.equal((await agent.calls.record(id)).output?.length, PRINTED + 4)
  })

  it('move to another worker when the one that has it dies', async () => {
    const gate = new Gate()
    const ids = await Promise.all(Array.from({ length: 2 * WORKERS }, () => agent.calls.start('much', [gate.path])))
    // One after the other, so that each way to the store is lost at some time.
    assert.equal(workers.length, WORKERS)
    for (const thread of workers) {
      const before = agent.threads.length
      await thread.terminate()
      await eventually('a new one has come', () => agent.threads.length > before)
      await eventually('there are no more connections', async () =>
        (await connections()).every((number) => number <= MOST),
      )
    }
    gate.open()
    for (const id of ids) {
      const { status, output } = await agent.calls.ended(id)
      assert.deepEqual([status, output], ['success', `${'x'.repeat(PRINTED)}end\n`])
      await eventually(`${id} is stored`, async () => (await storedOf(redis, id)).record?.status === 'success')
    }
    await eventually('all ways to the store are there again', async () =>
      (await connections()).every((number) => number === MOST),
    )
  })
})

async function connectionsTo(server: RedisServer): Promise<number> {
  const list = String(await server.with((client) => client.client('LIST')))
  return list.split('\n').filter((line) => /^id=/.test(line)).length - 1
}
