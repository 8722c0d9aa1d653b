import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { awaitGate, Gate } from '../../support/scripts.js'
import { left } from './marks.js'
import { describeEach, isRoot, NOBODY, needsRoot } from './variants.js'

const REGROUPED = 'setpgrp; $| = 1; print "$$\\n"; exec qw(sleep 60)'

/** Each tells first the pid of what has got away. */
const ESCAPES = [
  ['a child in a session of its own', 'setsid sleep 60 & echo $! $$'],
  ['an orphan in a session of its own', 'sh -c "setsid sleep 60 & echo \\$! $$"'],
  ['a daemon, forked twice', 'setsid sh -c "sh -c \'sleep 60 & echo \\$! $$\'; exit"'],
  ['a child in a group of its own', `perl -e '${REGROUPED}' &`],
  ['an orphan in a group of its own', `(perl -e '${REGROUPED}' &)`],
  ['a grandchild whose parent has left the group', 'setsid sh -c "sleep 60 & echo \\$! $$; wait" &'],
  ['an orphan that is stopped', 'sh -c "setsid sh -c \'echo \\$\\$ $$; kill -STOP \\$\\$\' &"'],
  ['orphans that ignore signals', 'sh -c "trap \\"\\" HUP TERM; setsid sleep 60 & echo \\$! $$"'],
] as const

const WITHOUT = ['setpriv', '--bounding-set=-sys_resource', '--inh-caps=-sys_resource']
const USERS = [
  ["the launcher's own user", {}, false],
  ['another user', { user: NOBODY }, needsRoot],
] as const

/** Each of its processes starts the next one and ends. */
const COMET = 'setsid sh -c "$1" sh "$1" &'

const running = () => left().map(({ command }) => command)

describeEach(
  'what has left its group',
  ({ launch }) => {
    for (const [what, lines] of ESCAPES) {
      it(`dies with its execution that is killed, before ENDED comes: ${what}`, async () => {
        const launcher = launch()
        const execution = launcher.script(`${lines}\nsleep 60`)
        const [pid] = await execution.numbers()
        assert.ok(pid && isRunning(pid))
        launcher.kill(execution)
        const { signal, survivors } = await execution.ended
        assert.deepEqual({ running: isRunning(pid), signal, survivors }, { running: false, signal: 9, survivors: 0 })
      })

      it(`dies with its leader that exits, before ENDED comes: ${what}`, async () => {
        const gate = new Gate()
        const execution = launch().script(`${lines}\n${awaitGate(1)}; exit 3`, {}, gate.path)
        const [pid] = await execution.numbers()
        assert.ok(pid && isRunning(pid))
        gate.open()
        const { exitCode, survivors } = await execution.ended
        const running = isRunning(pid)
        assert.deepEqual({ running, exitCode, survivors }, { running: false, exitCode: 3, survivors: 0 })
      })
    }

    for (const [whose, changes, reason] of USERS) {
      it(`lives on while its execution does, however many others end, as ${whose}`, { skip: reason }, async () => {
        // Most containers' root is without, too.
        const launcher = launch({}, isRoot ? WITHOUT : [])
        const executions = ESCAPES.map(([, lines]) => launcher.script(`${lines}\nsleep 60`, changes))
        const pids = await Promise.all(executions.map(async (execution) => (await execution.numbers())[0] ?? 0))
        for (let i = 0; i < 20; i++) await launcher.script('setsid sleep 60 & exit').result()
        for (const [i, pid] of pids.entries()) assert.ok(isRunning(pid), ESCAPES[i]?.[0])
        launcher.kill(...executions)
        await Promise.all(executions.map(({ ended }) => ended))
        assert.deepEqual(running(), [])
      })
    }

    it('dies though it runs from one process to the next', async () => {
      const launcher = launch()
      const execution = launcher.script('sh -c "$1" sh "$1" & echo $$; sleep 60', {}, COMET)
      await execution.numbers()
      launcher.kill(execution)
      assert.equal((await execution.ended).survivors, 0)
      assert.deepEqual(
        left().map(({ command }) => command),
        [],
      )
    })

    it('dies in hundreds', async () => {
      const launcher = launch()
      const lines = 'i=0; while [ $i -lt 30 ]; do setsid sleep 60 & i=$((i+1)); done; echo $$; sleep 60'
      const executions = Array.from({ length: 10 }, () => launcher.script(lines))
      await Promise.all(executions.map((execution) => execution.numbers()))
      launcher.kill(...executions)
      for (const { survivors } of await Promise.all(executions.map(({ ended }) => ended))) assert.equal(survivors, 0)
      assert.deepEqual(
        left().map(({ command }) => command),
        [],
      )
    })

    it('cannot claim to be of another one that runs', async () => {
      const launcher = launch()
      const other = launcher.script('exec sleep 60')
      const leader = await other.started
      const disowned = `(setsid bash -c 'ulimit -x ${leader} && exec sleep 60' &)`
      const execution = launcher.script(`${disowned}\necho $$; sleep 60`)
      await execution.numbers()
      await eventually('it is on its way', () => running().filter((command) => command === 'sleep').length === 3)
      launcher.kill(execution)
      await execution.ended
      assert.deepEqual(launcher.children(), [leader])
      assert.deepEqual(running(), ['sleep'])
      launcher.kill(other)
      await other.ended
    })

    it('dies though it has disowned its leader, and runs from one process to the next', async () => {
      const launcher = launch()
      const disowned = `setsid bash -c 'ulimit -x 1; exec sh -c "$1" sh "$1"' bash "$1" &`
      const execution = launcher.script(`(${disowned})\necho $$; sleep 60`, {}, COMET)
      await execution.numbers()
      await eventually('it is on its way', () => left().length > 2, 60)
      launcher.kill(execution)
      await execution.ended
      assert.deepEqual(running(), [])
    })
  },
  { fallbacks: true },
)
