import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { Cause, NO_LIMIT, State } from './frames.js'
import { describeEach } from './variants.js'

const SURVIVES = { survives: 60_000 }
const SIGKILL = 9

describeEach(
  'a timeout',
  ({ launch }) => {
    it('ends an execution and all it has started, and says so', async () => {
      const launcher = launch()
      const execution = launcher.script('(setsid sleep 60 & echo $!); sleep 60', { timeoutMs: 1_000 })
      const [pid] = (await execution.numbers()) as [number]
      const { signal, cause, durationUs, survivors } = await execution.ended
      assert.deepEqual({ signal, cause, survivors }, { signal: SIGKILL, cause: Cause.timeout, survivors: 0 })
      assert.ok(durationUs >= 999_000 && durationUs < 10_000_000, `${durationUs} µs`)
      assert.equal(isRunning(pid), false)
    })

    it('ends it whether there is a connection or not', async () => {
      const launcher = launch(SURVIVES)
      const execution = launcher.kept('echo $$; sleep 60', { timeoutMs: 1_000 })
      const [pid] = (await execution.numbers()) as [number]
      launcher.disconnect()
      await eventually('it is dead', () => !isRunning(pid))
      await launcher.connect()
      await eventually('it is over', async () => (await launcher.list())[0]?.state === State.ended)
      assert.equal((await launcher.list())[0]?.cause, Cause.timeout)
      launcher.attach(execution)
      const { signal, cause, durationUs } = await execution.ended
      assert.deepEqual({ signal, cause }, { signal: SIGKILL, cause: Cause.timeout })
      assert.ok(durationUs >= 999_000, `${durationUs} µs`)
    })

    it('is that of each of many, whatever becomes of others', async () => {
      const launcher = launch()
      const executions = Array.from({ length: 240 }, (_, i) => {
        const kind = i % 4
        const timeoutMs = kind < 2 ? 100 + ((i * 37) % 240) : 600_000
        return { kind, timeoutMs, execution: launcher.script(kind === 3 ? 'exit 3' : 'exec sleep 60', { timeoutMs }) }
      })
      await Promise.all(executions.map(({ execution }) => execution.started))
      for (const { kind, execution } of executions) if (kind === 2) launcher.killFor(Cause.own, execution)
      for (const { kind, timeoutMs, execution } of executions) {
        const { exitCode, signal, cause, durationUs } = await execution.ended
        const expected = [Cause.timeout, Cause.timeout, Cause.own, Cause.none][kind]
        assert.deepEqual([exitCode, signal, cause], [kind === 3 ? 3 : 0, kind === 3 ? 0 : SIGKILL, expected])
        if (kind < 2) assert.ok(durationUs >= 1000 * (timeoutMs - 1), `${durationUs} µs of ${timeoutMs} ms`)
      }
    })

    it('comes in time when those that were due earlier have been dropped', async () => {
      const launcher = launch()
      const sleeper = (timeoutMs: number) => launcher.script('exec sleep 60', { timeoutMs })
      const early = Array.from({ length: 40 }, (_, i) => sleeper(5_000 + i))
      const later = Array.from({ length: 40 }, (_, i) => sleeper(5_500 + i))
      const last = Array.from({ length: 80 }, () => sleeper(600_000))
      await Promise.all([...early, ...later, ...last].map(({ started }) => started))
      launcher.killFor(Cause.own, ...early)
      for (const { cause } of await Promise.all(early.map(({ ended }) => ended))) assert.equal(cause, Cause.own)
      for (const { cause } of await Promise.all(later.map(({ ended }) => ended))) assert.equal(cause, Cause.timeout)
      assert.ok(last.every(({ over }) => !over))
    })

    it('is no cause where the execution has been killed before, or has ended by itself', async () => {
      const launcher = launch()
      const killed = launcher.script('exec sleep 60', { timeoutMs: 3_000 })
      const ended = launcher.script('echo x; sleep 0.5; exit 7', { timeoutMs: 3_000 })
      await Promise.all([killed.started, ended.outputUntil('x')])
      launcher.killFor(Cause.own, killed)
      await killed.ended
      // It ends in time, while the launcher cannot see that.
      launcher.signal('SIGSTOP')
      await sleep(3_100)
      launcher.signal('SIGCONT')
      const { exitCode, cause } = await ended.ended
      assert.deepEqual([exitCode, cause], [7, Cause.none])
      assert.equal((await killed.ended).cause, Cause.own)
    })

    it('may be any number', async () => {
      const launcher = launch()
      const timeouts = [0n, NO_LIMIT, 2n ** 63n, 2n ** 63n - 1n, 2n ** 32n]
      const executions = timeouts.map((timeoutMs) => launcher.script('exec sleep 60', { timeoutMs }))
      await Promise.all(executions.map(({ started }) => started))
      const soon = launcher.script('exec sleep 60', { timeoutMs: 1 })
      assert.equal((await soon.ended).cause, Cause.timeout)
      assert.equal((await launcher.list()).length, timeouts.length)
      assert.ok((await launcher.list()).every(({ cause }) => cause === Cause.none))
    })
  },
  { fallbacks: true },
)
