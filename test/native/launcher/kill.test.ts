import assert from 'node:assert/strict'
import { it } from 'node:test'
import { isRunning } from '../../../harness/processes.js'
import { killFrame, startFrame } from './frames.js'
import { describeEach, EVERY } from './variants.js'

const SIGKILL = 9

describeEach(
  'KILL',
  ({ launch }) => {
    it('ends the group at once: children, and what ignores every signal that can be ignored', async () => {
      const launcher = launch()
      const trap = 'trap "" HUP INT QUIT TERM USR1 USR2 PIPE ALRM'
      const execution = launcher.script(`${trap}; sleep 60 & sleep 60 & echo $! $$; wait; wait; sleep 60`)
      const pids = await execution.numbers()
      assert.equal(pids[1], await execution.started)
      launcher.kill(execution)
      const { signal, exitCode, survivors } = await execution.ended
      assert.deepEqual({ signal, exitCode, survivors }, { signal: SIGKILL, exitCode: 0, survivors: 0 })
      for (const pid of pids) assert.equal(isRunning(pid), false)
    })

    it('ends a group that is stopped', async () => {
      const launcher = launch()
      const execution = launcher.script('sleep 60 & echo $! $$; kill -STOP 0; sleep 60')
      const pids = await execution.numbers()
      launcher.kill(execution)
      assert.equal((await execution.ended).signal, SIGKILL)
      for (const pid of pids) assert.equal(isRunning(pid), false)
    })

    it('ends only the execution it is for', async () => {
      const launcher = launch()
      const sleeper = () => launcher.script('sleep 60 & echo $! $$; wait')
      const [one, two, three] = [sleeper(), sleeper(), sleeper()]
      const others = [...(await one.numbers()), ...(await three.numbers())]
      await two.numbers()
      launcher.kill(two)
      await two.ended
      const listed = await launcher.list()
      assert.deepEqual(listed.map(({ id }) => id).sort(), [one.id, three.id])
      for (const pid of others) assert.equal(isRunning(pid), true)
    })

    it('is ignored where nothing has that id, or has it any more', async () => {
      const launcher = launch()
      const execution = launcher.start({ file: '/bin/true' })
      launcher.send(killFrame(12_345), killFrame(0), killFrame(2n ** 64n - 1n))
      await execution.ended
      launcher.kill(execution)
      const failed = launcher.start({ file: '/nonexistent' })
      await failed.failed
      launcher.kill(failed)
      assert.equal(await launcher.script('echo works').result(), 'works\n')
    })

    it('twice does no more than once', async () => {
      const launcher = launch()
      const execution = launcher.script('sleep 60')
      await execution.started
      launcher.kill(execution, execution, execution)
      assert.equal((await execution.ended).signal, SIGKILL)
      launcher.kill(execution)
      assert.deepEqual(await launcher.list(), [])
    })

    it('of one that waits to be started fails it', async () => {
      const launcher = launch()
      // All in one write: the launcher hears of them together, and starts one after the other.
      const executions = Array.from({ length: 50 }, () => launcher.expect(0))
      const starts = executions.map(({ id }) => startFrame(id, { file: '/bin/sleep', argv: ['sleep', '60'] }))
      launcher.send(...starts, ...executions.map(({ id }) => killFrame(id)))
      const outcomes = await Promise.all(executions.map(({ done }) => done))
      const cancelled = outcomes.filter((outcome) => 'step' in outcome)
      assert.ok(cancelled.length > 0)
      for (const outcome of cancelled) assert.deepEqual(outcome, { step: 'CANCELLED', errno: 125 })
      for (const outcome of outcomes) if (!('step' in outcome)) assert.equal(outcome.signal, SIGKILL)
    })

    it('leaves the id free once the end has been told', async () => {
      const launcher = launch()
      for (let round = 0; round < 20; round++) {
        const execution = launcher.script('sleep 60', {}, `${round}`)
        const again = execution.id
        await execution.started
        launcher.kill(execution)
        await execution.ended
        assert.equal(await launcher.start({ file: '/bin/true' }, again).result(), '')
      }
    })

    it('ends a fork bomb', async () => {
      const launcher = launch()
      // Each runs on for as long as it may, a hundred at a time.
      const bomb = 'f() { i=0; while [ $i -lt 10 ]; do sleep 60 & i=$((i+1)); done; wait; }; i=0; '
      const execution = launcher.script(`${bomb} while [ $i -lt 10 ]; do f & i=$((i+1)); done; echo $$; wait`)
      await execution.numbers()
      launcher.kill(execution)
      assert.equal((await execution.ended).survivors, 0)
    })
  },
  { variants: EVERY },
)
