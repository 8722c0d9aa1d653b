import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { answer } from '../../src/cli/connection.js'
import type { HealthCheckResponse__Output } from '../../src/generated/grpc/health/v1/HealthCheckResponse.js'
import { runCli } from '../support/cli.js'
import { standardClients } from '../support/flux-client.js'
import { awaitGate, Gate } from '../support/scripts.js'

describe('two agents of one agent_id', { skip: noRedis ?? false }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await RedisServer.start()
  })
  after(() => redis.stop())

  const start = (dir?: string): Promise<TestAgent> =>
    startTestAgent({ config: { redis_addr: redis.address, workers: 1, drain_seconds: 1 }, ...(dir && { dir }) })

  it('are one: the second is refused, and touches nothing of the first', async (t) => {
    const first = await start()
    t.after(() => first.stop())
    const calls = new Calls(first.client)
    const gate = new Gate()
    await calls.script('waits', awaitGate(1))
    const id = await calls.start('waits', [gate.path])
    await assert.rejects(start(), (error: Error) => {
      const refusal = new RegExp(
        `agent_id: test-agent is held by the agent on \\S+, process ${first.pid}, since .*alive`,
      )
      assert.match(error.message, refusal)
      return true
    })
    assert.match((await redis.with((client) => client.get(`flux:exec:${id}`))) ?? '', /"status":"running"/)
    gate.open()
    await eventually('it ends as it should', async () => (await calls.record(id)).status === 'success')
  })

  it('may follow each other, at once after a stop and after a crash of the same', async () => {
    const first = await start()
    await first.stop()
    const second = await start()
    await second.kill()
    const again = await start(second.dir)
    await again.stop()
    for (const agent of [second, again]) assert.doesNotMatch(agent.logs(), /waiting for the name/)
  })

  it('where the other has the name, this one is not healthy, and starts and takes nothing', async (t) => {
    const agent = await start()
    t.after(() => agent.stop())
    const calls = new Calls(agent.client)
    await calls.script('hello', 'echo hello')
    await redis.with((client) => client.set('flux-agent:agent:test-agent', 'another'))
    await eventually('it is not healthy', async () => !(await calls.health()).healthy)
    assert.equal((await calls.health()).state, 'stuck')
    const { health } = standardClients(agent.client)
    const checked = await answer<HealthCheckResponse__Output>((options, done) => health.Check({}, options, done))
    assert.equal(checked.status, 'NOT_SERVING')
    await assert.rejects(calls.execute({ function_name: 'hello' }), /UNAVAILABLE: agent_id test-agent is held by/)
    // What they would change is the other's: all agents read the same functions.
    const held = /UNAVAILABLE: agent_id test-agent is held by/
    const stored = await redis.with((client) => client.keys('agent:function:*'))
    await assert.rejects(calls.register({ name: 'new', handler: 'main' }), held)
    await assert.rejects(calls.script('deployed', 'echo'), held)
    assert.deepEqual(await redis.with((client) => client.keys('agent:function:*')), stored)
    const { code, stdout } = await runCli(['status', '--address', `127.0.0.1:${agent.port}`])
    assert.equal(code, 1)
    assert.match(stdout.toString(), /PROBLEM: +agent_id test-agent is held by/)
    await redis.with((client) => client.del('flux-agent:agent:test-agent'))
    await eventually('it is healthy again', async () => (await calls.health()).healthy)
    assert.equal((await calls.execute({ function_name: 'hello' })).error, '')
  })
})
