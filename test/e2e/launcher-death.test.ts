import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { launchersOf, noLauncher } from '../../harness/launchers.js'
import { isRunning } from '../../harness/processes.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync } from '../support/live-calls.js'
import { METRICS_ON, scrape } from '../support/metrics.js'

const DEATH = 'the launcher has died (SIGKILL), and everything it ran was killed'

describeAgent(
  'a launcher that dies under a running agent',
  { skip: noLauncher, config: { workers: 1, ...METRICS_ON } },
  ({ agent, calls }) => {
    before(async () => {
      await calls.script('wait', 'setsid sleep 600 & echo $!; sleep 600 & echo $!; echo $$; echo ready; wait')
      await calls.script('hi', 'echo hi')
    })

    const launcher = () => {
      const [pid, ...more] = launchersOf(agent.pid)
      assert.deepEqual(more, [])
      assert.ok(pid)
      return pid
    }

    async function pidsOf(id: string): Promise<number[]> {
      const { output } = await calls.printed(id, 'ready')
      return (output?.match(/\d+/g) ?? []).map(Number)
    }

    it('ends its executions, sync and async, with what has happened, and the next ones work', async () => {
      const sync = callSync(agent.client, { function_name: 'wait' })
      const id = await calls.start('wait')
      const pids = [...(await pidsOf(sync.id)), ...(await pidsOf(id))]
      assert.equal(pids.length, 6)
      const before = launcher()
      process.kill(before, 'SIGKILL')

      const response = await sync.outcome
      assert.ok('output' in response, 'answered by a status')
      assert.deepEqual([response.error, response.output.toString().includes('ready')], [DEATH, true])
      const record = await calls.ended(id)
      assert.deepEqual(
        [record.status, record.error, record.exit_code, record.signal],
        ['failed', DEATH, undefined, undefined],
      )
      assert.match(record.output ?? '', /ready/)
      assert.ok(record.status_at)
      await eventually('every process is dead', () => !pids.some(isRunning), 2)
      assert.equal((await scrape(agent)).get('flux_agent_executions_total{function="wait",outcome="lost"}'), 2)
      assert.equal((await calls.status()).active_tasks, 0)

      const next = await calls.execute({ function_name: 'hi' })
      assert.deepEqual([next.error, next.output.toString()], ['', 'hi\n'])
      assert.equal((await calls.ended(await calls.start('hi'))).output, 'hi\n')
      assert.notEqual(launcher(), before)
      await eventually('it is counted', async () => {
        return (await scrape(agent)).get('flux_agent_launcher_restarts_total') === 1
      })
    })

    it('while nothing runs is replaced with the next execution', async () => {
      process.kill(launcher(), 'SIGKILL')
      const next = await calls.execute({ function_name: 'hi' })
      if (next.error !== '') assert.equal(next.error, DEATH)
      assert.equal((await calls.execute({ function_name: 'hi' })).output.toString(), 'hi\n')
    })

    it('again and again takes no slot and no descriptor with it', async () => {
      for (let i = 0; i < 5; i++) {
        const id = await calls.start('wait')
        const pids = await pidsOf(id)
        process.kill(launcher(), 'SIGKILL')
        assert.equal((await calls.ended(id)).error, DEATH)
        await eventually('its processes are dead', () => !pids.some(isRunning), 2)
      }
      assert.equal((await calls.status()).active_tasks, 0)
      assert.equal((await calls.execute({ function_name: 'hi' })).output.toString(), 'hi\n')
      assert.equal(agent.logs().includes('worker thread has died'), false)
    })

    it('races with a cancel: whichever wins, answer and record agree', async () => {
      const id = await calls.start('wait')
      const pids = await pidsOf(id)
      const cancel = calls.cancel(id)
      process.kill(launcher(), 'SIGKILL')
      const { success } = await cancel
      const record = await calls.ended(id)
      assert.deepEqual(
        [record.status, record.error],
        success ? ['cancelled', 'execution cancelled'] : ['failed', DEATH],
      )
      await eventually('its processes are dead', () => !pids.some(isRunning), 2)
    })
  },
)
