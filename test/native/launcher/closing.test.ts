import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { helper, noCompiler } from './builds.js'
import { NO_LIMIT, startFrame } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { DEFAULT_ENV, left } from './marks.js'
import { cgroupsOf, describeEach } from './variants.js'

const ESCAPES = ['sleep 60 & ', '(setsid sleep 60 &)', '(setsid sh -c "sleep 60 & sleep 60" &)', 'trap "" TERM HUP;']

describeEach(
  'a launcher',
  ({ launch }) => {
    /** Some of every kind, each of which has told something. */
    const populate = async (launcher: Launcher) => {
      const executions = ESCAPES.map((lines) => launcher.script(`${lines}\necho $$; sleep 60`))
      const flood = launcher.script('echo $$; exec cat /dev/zero', { credit: 10_000 })
      await Promise.all([...executions, flood].map((execution) => execution.numbers()))
      return [...executions, flood]
    }

    it('whose stdin closes kills everything, tells it, and leaves with 0', async () => {
      const launcher = launch()
      const executions = await populate(launcher)
      launcher.stdin.end()
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
      for (const execution of executions) {
        const { signal, survivors } = await execution.ended
        assert.deepEqual({ signal, survivors }, { signal: 9, survivors: 0 })
      }
      assert.deepEqual(left(), [])
      assert.deepEqual(cgroupsOf(launcher), [])
    })

    it('whose stdin closes starts nothing that still waits for it', async () => {
      const launcher = launch()
      const executions = Array.from({ length: 200 }, () => launcher.expect(NO_LIMIT))
      const file = '/bin/sleep'
      launcher.send(...executions.map(({ id }) => startFrame(id, { file, argv: ['sleep', '60'] })))
      launcher.stdin.end()
      const outcomes = await Promise.all(executions.map(({ done }) => done))
      const cancelled = outcomes.filter((outcome) => 'step' in outcome)
      for (const outcome of cancelled) assert.deepEqual(outcome, { step: 'CANCELLED', errno: 125 })
      assert.ok(cancelled.length > 0)
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
    })

    it('whose stdin closes in the middle of a frame leaves with 0', async () => {
      for (const length of [1, 15, 16, 17, 80]) {
        const launcher = launch()
        await launcher.ready
        launcher.send(startFrame(1, { file: '/bin/true' }).subarray(0, length))
        await launcher.close()
      }
    })

    it('whose stdin closes at once leaves with 0', async () => {
      const launcher = launch()
      launcher.stdin.end()
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
      assert.deepEqual(
        launcher.events.map(({ type }) => type),
        ['ready'],
      )
    })

    it('whose reader is gone ends as when its stdin closes, though idle', async () => {
      const launcher = launch()
      await populate(launcher)
      launcher.stdout.destroy()
      await eventually('it has left', () => !isRunning(launcher.pid))
      assert.deepEqual(left(), [])
      assert.deepEqual(cgroupsOf(launcher), [])
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
    })

    it('whose reader is gone ends though it has much to tell', async () => {
      const launcher = launch()
      const floods = Array.from({ length: 5 }, () => launcher.script('exec cat /dev/zero'))
      await eventually('all flood', () => floods.every(({ outputLength }) => outputLength > 100_000), 30)
      launcher.stdout.destroy()
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
      assert.deepEqual(left(), [])
    })

    it('that finds its reader gone between two starts leaves with 0', { skip: noCompiler }, async () => {
      const launcher = launch({ unread: true }, [helper('deaf')])
      const start = { file: '/bin/sleep', argv: ['sleep', '60'], env: DEFAULT_ENV }
      launcher.send(...Array.from({ length: 400 }, (_, i) => startFrame(i, start)))
      launcher.stdin.end()
      assert.deepEqual(await launcher.exited, { code: 0, signal: null })
      assert.deepEqual(left(), [])
    })

    it('that is killed takes the leaders along', async () => {
      const launcher = launch()
      const executions = Array.from({ length: 20 }, (_, i) => launcher.script(i % 2 ? 'sleep 60' : 'exec sleep 60'))
      const pids = await Promise.all(executions.map(({ started }) => started))
      launcher.signal('SIGKILL')
      await eventually('the leaders are dead', () => !pids.some(isRunning))
      await launcher.destroy()
    })

    it('that is killed takes along what it is just starting', async () => {
      const launcher = launch()
      await launcher.ready
      // It takes a moment to set so many, and only then can the child tell that its parent is gone.
      const rlimits = Array(300_000).fill([4, 0, 0])
      const execution = launcher.script('exec sleep 60', { rlimits })
      const pid = await eventually('it is being started', () => launcher.children()[0])
      launcher.signal('SIGKILL')
      await launcher.exited
      await eventually('it is dead', () => !isRunning(pid))
      assert.equal(execution.over, false)
      assert.deepEqual(left(), [])
    })
  },
  { fallbacks: true },
)
