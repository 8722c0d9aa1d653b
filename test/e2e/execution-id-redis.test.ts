import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, beforeEach, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { running } from '../store/records.js'
import { describeAgent } from '../support/describe-agent.js'

const TAKEN = 'execution ID already exists'

const EVERY_REDIS = process.env['CI'] ? (['redis', 'cluster'] as const) : 'redis'

describeAgent('an execution id, with Redis', { store: EVERY_REDIS }, ({ agent, calls, redis }) => {
  let id: string

  before(() => calls.script('quick', 'echo done'))
  beforeEach(() => {
    id = randomUUID()
  })

  const execute = (async: boolean) => calls.execute({ function_name: 'quick', execution_id: id, async })

  for (const [kind, async] of [
    ['an async', true],
    ['a sync', false],
  ] as const) {
    it(`is known while Redis is away where ${kind} execution had it, also after a SIGKILL`, async () => {
      assert.equal((await execute(async)).error, '')
      if (async) await calls.ended(id)
      redis.pause()
      for (const again of [true, false]) assert.equal((await execute(again)).error, TAKEN)
      redis.resume()
      await agent.kill()
      await agent.start()
      redis.pause()
      for (const again of [true, false]) assert.equal((await execute(again)).error, TAKEN)
      redis.resume()
    })
  }

  it('that another agent has is seen though this one was stopped while it waited for the answer', async () => {
    const key = `flux:exec:${id}`
    const server = await redis.primaryOf(key)
    await server.with((client) => client.set(key, JSON.stringify(running(id, 'another-agent'))))
    redis.pause()
    const answer = execute(true)
    // The question is with Redis.
    await sleep(200)
    process.kill(agent.pid, 'SIGSTOP')
    redis.resume()
    await sleep(1_500)
    process.kill(agent.pid, 'SIGCONT')
    assert.equal((await answer).error, TAKEN)
    assert.equal((await calls.record(id)).agent_id, 'another-agent')
  })

  it('costs a sync execution no question to Redis', async () => {
    const asked = async () => {
      const infos = await Promise.all(redis.servers.map((server) => server.with((client) => client.info('stats'))))
      return infos.reduce((sum, info) => sum + Number(/total_commands_processed:(\d+)/.exec(info)?.[1]), 0)
    }
    await execute(false)
    const measuring = await asked().then(async (before) => (await asked()) - before)
    const before = await asked()
    for (let i = 0; i < 20; i++) {
      const { error } = await calls.execute({ function_name: 'quick', execution_id: randomUUID() })
      assert.equal(error, '')
    }
    const commands = (await asked()) - before - measuring
    assert.ok(commands < 20, `${commands} commands`)
  })
})
