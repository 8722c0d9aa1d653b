import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { type AgentInProcess, startAgentInProcess } from '../support/agent-in-process.js'
import { awaitGate, Gate } from '../support/scripts.js'

const WORKERS = 8
const MOST = 4
const PRINTED = 200_000

describe('connections to Redis', { skip: noRedis ?? false }, () => {
  let redis: RedisServer
  let agent: AgentInProcess

  before(async () => {
    redis = await RedisServer.start()
    agent = await startAgentInProcess({ redis_addr: redis.address, workers: WORKERS })
    await agent.calls.script('much', `head -c ${PRINTED} /dev/zero | tr '\\0' x; ${awaitGate(1)}; echo end`)
  })
  after(async () => {
    await agent.stop()
    await redis.stop()
  })

  /** Without the one that asks. */
  const connections = async () =>
    String(await redis.with((client) => client.client('LIST')))
      .split('\n')
      .filter((line) => /^id=/.test(line)).length - 1

  it('are at most four, however many workers there are, and each worker stores and reads', async () => {
    const gate = new Gate()
    const ids = await Promise.all(Array.from({ length: 3 * WORKERS }, () => agent.calls.start('much', [gate.path])))
    for (const id of ids) {
      await eventually(`${id} is stored`, async () => {
        return (await redis.with((client) => client.strlen(`flux:exec-output:${id}`))) === PRINTED
      })
    }
    assert.equal(await connections(), MOST)
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
    for (const thread of agent.threads.filter(({ threadId }) => threadId > 0)) {
      const before = agent.threads.length
      await thread.terminate()
      await eventually('a new one has come', () => agent.threads.length > before)
      await eventually('there are no more connections', async () => (await connections()) <= MOST)
    }
    gate.open()
    for (const id of ids) {
      const { status, output } = await agent.calls.ended(id)
      assert.deepEqual([status, output], ['success', `${'x'.repeat(PRINTED)}end\n`])
      await eventually(`${id} is stored`, async () => {
        const record = await redis.with((client) => client.get(`flux:exec:${id}`))
        return record !== null && JSON.parse(record).status === 'success'
      })
    }
    assert.equal(await connections(), MOST)
  })
})
