import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { launchersBelow, noLauncher } from '../../harness/launchers.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { Survivors } from '../support/survivors.js'

const EXECUTIONS = process.env['CI'] ? 200 : 40
const KILLS = process.env['CI'] ? 10 : 3

for (const store of ['embedded', 'redis'] as const) {
  describe(`executions of an agent that is killed again and again, ${store}`, {
    skip: noLauncher ?? (store === 'redis' && noRedis),
  }, () => {
    it('all run once, end as they should, and lose no byte', { timeout: 240_000 }, async () => {
      const redis = store === 'redis' ? await RedisServer.start() : undefined
      const config = redis ? { redis_addr: redis.address } : {}
      let agent: TestAgent = await startTestAgent({ config })
      const calls = new Calls(() => agent.client)
      const survivors = new Survivors(makeTempDir('flux-survivors-'))
      await survivors.deploy(calls)
      const start = [
        () => survivors.lines(calls, 60, 0.1, 0),
        () => survivors.lines(calls, 8, 1, 3),
        () => survivors.silent(calls, 6, 7),
        () => survivors.flood(calls, 60_000, 5),
        () => survivors.lines(calls, 200, 0.02, 0),
      ]
      const cancelled: string[] = []
      for (let i = 0; i < EXECUTIONS; i++) {
        const id = await (start[i % start.length] as () => Promise<string>)()
        if (i % 20 === 11) cancelled.push(id)
      }
      await survivors.parent(calls, 7)
      const late = await survivors.late(calls)

      for (let kill = 0; kill < KILLS; kill++) {
        await sleep(Math.random() * 700)
        const away = redis && kill % 3 === 1
        if (away) await redis.halt(true)
        await sleep(Math.random() * 200)
        await agent.kill()
        if (away) await redis.restart()
        agent = await startTestAgent({ config, dir: agent.dir })
        const id = cancelled.pop()
        if (id && (await calls.cancel(id)).success) survivors.cancelled(id)
        if (kill === 0) {
          const again = await calls.execute({ function_name: 'silent', execution_id: late, async: true })
          assert.equal(again.error, 'execution ID already exists')
        }
      }
      for (const id of survivors.ids) survivors.check(await calls.ended(id, 60))
      const { duration_ms = 0 } = await calls.record(late)
      assert.ok(duration_ms >= 4000 && duration_ms < 10_000, `${duration_ms} ms`)
      const [grandchild] = survivors.grandchildren()
      assert.equal(isRunning(grandchild as number), false)
      assert.equal((await calls.status()).active_tasks, 0)
      await eventually(
        'only the launcher of new executions is left',
        () => launchersBelow(`${agent.dir}/state`).length === 1,
      )
      assert.equal(await agent.stop(), 0)
      assert.deepEqual(launchersBelow(`${agent.dir}/state`), [])
      await redis?.stop()
    })
  })
}
