import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { CLI, makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { onEachRedis, onEachStore } from '../support/stores.js'

/** More than what is kept in memory. */
const LINES = 300_000
const MOST_LINES = process.env['CI'] ? 1_000_000 : LINES

onEachStore('an agent that was killed', (address) => {
  it('ends the records it left, and serves what was deployed', async () => {
    const config = { redis_addr: address(), survive_seconds: 0 }
    const killed = await startTestAgent({ config })
    const before = new Calls(killed.client)
    await before.script('wait', 'echo $$; echo ready; sleep 1; echo later; sleep 600')
    const id = await before.start('wait')
    // What an agent that is killed has had for less than 50 ms may be lost with it; by then the first lines are stored.
    const [pid] = ((await before.printed(id, 'later')).output ?? '').split('\n').map(Number)
    const done = await before.start('wait')
    await before.printed(done, 'ready')
    await before.cancel(done)
    // Written before the kill: an execution that had ended keeps its own end.
    await eventually('its end is stored', async () => (await before.record(done)).status === 'cancelled')
    await eventually('nothing is under way for it', async () => (await before.status()).active_tasks === 1)
    await killed.kill()
    await eventually('its function is gone', () => !isRunning(pid as number))

    const agent = await startTestAgent({ config, dir: killed.dir })
    const calls = new Calls(agent.client)
    const record = await calls.record(id)
    assert.deepEqual([record.status, record.error], ['failed', 'agent restarted'])
    assert.ok(record.status_at)
    assert.match(record.output ?? '', /ready/)
    assert.equal((await calls.record(done)).status, 'cancelled')
    const next = await calls.start('wait')
    await calls.printed(next, 'ready')
    await calls.cancel(next)
    await agent.stop()
  })
})

onEachRedis('an agent that ends while Redis is away', {}, (redis) => {
  const lines = redis.servers.length === 1 ? MOST_LINES : LINES
  const ends: [string, (agent: TestAgent) => Promise<unknown>][] = [
    ['SIGTERM', (agent) => agent.stop()],
    ['SIGKILL', (agent) => agent.kill()],
  ]
  for (const [signal, end] of ends) {
    it(`stores at its next start what waited on disk at ${signal}`, async () => {
      const config = { redis_addr: redis.address, workers: 1 }
      const first = await startTestAgent({ config })
      const before = new Calls(first.client)
      await before.script('count', 'seq 1 "$1"')
      await redis.halt(true)
      const ids: string[] = []
      for (let i = 0; i < 3; i++) {
        const id = await before.start('count', [String(lines)])
        await before.ended(id)
        ids.push(id)
      }
      await end(first)
      await redis.restart()
      const agent = await startTestAgent({ config, dir: first.dir })
      const calls = new Calls(agent.client)
      const expected = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join('')
      for (const id of ids) {
        const record = await calls.record(id)
        assert.deepEqual([record.status, record.output === expected], ['success', true])
      }
      await agent.stop()
    })
  }
})

describe('a start', () => {
  it('waits for Redis, says so, and serves when it comes', { skip: noRedis }, async () => {
    const redis = await RedisServer.start()
    await redis.halt()
    const dir = makeTempDir('flux-agent-wait-')
    const configFile = join(dir, 'agent.yaml')
    const config = {
      agent_id: 'waits',
      host: '127.0.0.1',
      port: 0,
      redis_addr: redis.address,
      run_as: 'self',
      state_dir: dir,
    }
    writeFileSync(configFile, JSON.stringify(config))
    const agent = spawn(process.execPath, [CLI, 'start', '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    agent.stderr.on('data', (text) => {
      log += text
    })
    try {
      await eventually('it says what it waits for', () => log.includes('waiting for the store'))
      assert.match(log, new RegExp(`127.0.0.1:${redis.port}`))
      await redis.restart()
      await eventually('it serves', () => log.includes('"msg":"serving"'))
    } finally {
      agent.kill('SIGTERM')
      if (agent.exitCode === null) await once(agent, 'exit')
      await redis.stop()
    }
    assert.equal(agent.exitCode, 0)
  })

  it('is refused in the state folder of an agent that runs', async () => {
    const agent = await startTestAgent()
    await assert.rejects(startTestAgent({ dir: agent.dir }), /in use by process \d+; stop it, or give/)
    assert.equal(isRunning(agent.pid), true)
    await agent.stop()
  })
})
