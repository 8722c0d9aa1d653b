import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { scriptZip } from '../support/apps.js'
import { linesOf } from '../support/log-lines.js'

const DEBUG = 20
const INFO = 30

for (const level of ['info', 'debug'] as const) {
  describe(`the log at ${level}`, () => {
    let agent: TestAgent
    let calls: Calls

    before(async () => {
      agent = await startTestAgent({ config: { log_level: level } })
      calls = new Calls(agent.client)
    })
    after(() => agent.stop())

    const lines = (message: RegExp) => linesOf(agent.logs()).filter(({ msg }) => message.test(msg))

    it('has a line for a registration and one for each deploy, with the version', async () => {
      const config = { name: 'greet', handler: 'main.sh' }
      await calls.register(config)
      await calls.deploy('greet', scriptZip('echo hello'))
      await calls.deploy('greet', scriptZip('echo hello'))
      await calls.register(config)
      const [registered, deployed, unchanged, again] = await eventually('all lines are there', () => {
        const found = lines(/^function /)
        return found.length === 4 ? found : undefined
      })
      const digest = deployed?.['version']
      assert.match(String(digest), /^[0-9a-f]{64}$/)
      assert.deepEqual(
        [registered, deployed, unchanged, again].map((line) => [
          line?.level,
          line?.msg,
          line?.['function'],
          line?.['version'],
        ]),
        [
          [INFO, 'function registered', 'greet', undefined],
          [INFO, 'function deployed', 'greet', digest],
          [INFO, 'function deployed already', 'greet', digest],
          [INFO, 'function registered', 'greet', digest],
        ],
      )
    })

    it(`has ${level === 'debug' ? 'three lines' : 'none'} for an execution`, async () => {
      await calls.script('fail', 'exit 3')
      const id = await calls.start('fail')
      await calls.ended(id)
      await calls.execute({ function_name: 'fail' })
      if (level === 'info') {
        assert.deepEqual(lines(/^execution /), [])
        return
      }
      await eventually('both executions are logged', () => lines(/^execution ended$/).length === 2)
      const own = lines(/^execution /).filter(({ execution }) => execution === id)
      assert.deepEqual(
        own.map(({ level: logged, msg, function: name }) => [logged, msg, name]),
        [
          [DEBUG, 'execution accepted', 'fail'],
          [DEBUG, 'execution started', 'fail'],
          [DEBUG, 'execution ended', 'fail'],
        ],
      )
      const [accepted, started, ended] = own
      assert.equal(accepted?.['async'], true)
      assert.ok(Number(started?.['pid']) > 0)
      assert.equal(ended?.['status'], 'failed')
      assert.ok(Number(ended?.['duration_ms']) >= 0)
      assert.equal(lines(/^execution accepted$/).filter(({ async }) => async === false).length, 1)
    })
  })
}
