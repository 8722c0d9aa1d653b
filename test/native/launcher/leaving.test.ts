import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { Flag, leaveFrame } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { left, MARK_ENTRY } from './marks.js'
import { cgroupOf, describeEach } from './variants.js'
import { withinSeconds } from './within.js'

const SURVIVES = { survives: 60_000 }
const LEFT = { code: 0, signal: null }

describeEach(
  'a launcher with a socket',
  ({ launch, cgroups }) => {
    /** No process, socket or cgroup. */
    const leavesNothing = async (launcher: Launcher) => {
      assert.deepEqual(await withinSeconds('it leaves', 20, launcher.exited), LEFT)
      assert.deepEqual(left(), [])
      assert.equal(existsSync(launcher.options.socket as string), false)
      if (cgroups) assert.equal(existsSync(dirname(dirname(cgroupOf(launcher)))), false)
    }

    it('leaves at once where it knows nothing when the connection ends', async () => {
      const idle = launch(SURVIVES)
      await idle.ready
      idle.disconnect()
      await leavesNothing(idle)
      const used = launch(SURVIVES)
      const ended = used.kept('echo x')
      await ended.ended
      const failed = used.start({ file: '/nonexistent', kept: true })
      await failed.failed
      used.forget(ended, failed)
      await used.script('exit').ended
      used.disconnect()
      await leavesNothing(used)
    })

    it('leaves once all is dead where nothing is kept', async () => {
      const launcher = launch(SURVIVES)
      const lines = ['(setsid sleep 60 &); echo $$; sleep 60', 'echo $$; exec cat /dev/zero']
      const executions = lines.map((line) => launcher.script(line, { credit: 1000 }))
      await Promise.all(executions.map((execution) => execution.numbers()))
      launcher.disconnect()
      await leavesNothing(launcher)
    })

    it('leaves when the next connection forgets the last end, and ends', async () => {
      const launcher = launch(SURVIVES)
      const execution = launcher.kept('exit 1')
      await execution.ended
      launcher.disconnect()
      await launcher.connect()
      launcher.forget(execution)
      await launcher.list()
      launcher.disconnect()
      await leavesNothing(launcher)
    })

    it('kills everything and leaves where nobody comes in time, with nothing left', async () => {
      const tmpdirs = makeTempDir('flux-launcher-tmp-')
      const launcher = launch({ survives: 200, tmpdirs })
      const fill = 'for i in 1 2 3 4 5 6 7 8 9; do mkdir -p $TMPDIR/$i/$i; echo >$TMPDIR/$i/$i/$i; done'
      const lines = [
        `${fill}; (setsid sleep 60 &); echo $$; sleep 60`,
        'echo $$; exec cat /dev/zero',
        'echo $$; exit 2',
        `echo $$; trap "" TERM HUP; sleep 60 & sleep 60`,
      ]
      const env = ['PATH=/usr/bin:/bin', 'TMPDIR=/nonexistent', MARK_ENTRY]
      const executions = lines.map((line) => launcher.kept(line, { env, flags: Flag.tmpdir, credit: 100_000 }))
      const pids = (await Promise.all(executions.map((execution) => execution.numbers()))).flat()
      launcher.disconnect()
      const begun = performance.now()
      await leavesNothing(launcher)
      assert.ok(performance.now() - begun >= 199)
      assert.ok(!pids.some(isRunning))
      assert.deepEqual(readdirSync(tmpdirs), [])
    })

    it('waits as long while it has a connection, and anew after it', async () => {
      const launcher = launch({ survives: 1_500 })
      const execution = launcher.kept('sleep 60')
      const pid = await execution.started
      for (let connection = 0; connection < 2; connection++) {
        launcher.disconnect()
        await sleep(100)
        await launcher.connect()
        await sleep(1_600)
        assert.equal((await launcher.list()).length, 1)
      }
      assert.ok(isRunning(pid))
      launcher.disconnect()
      await leavesNothing(launcher)
    })

    it('is told to LEAVE: it kills everything, tells all that it has to, and leaves, whatever it keeps', async () => {
      const launcher = launch(SURVIVES)
      const [ended, running] = [launcher.kept('echo x'), launcher.kept('echo $$; (setsid sleep 60 &); sleep 60')]
      const large = launcher.kept('head -c 900000 /dev/zero')
      const plain = launcher.script('echo $$; sleep 60')
      await Promise.all([running.numbers(), plain.numbers(), ended.ended, large.ended])
      launcher.disconnect()
      await launcher.connect()
      const again = launcher.script('echo $$; sleep 60')
      await again.numbers()
      launcher.attach(running)
      launcher.attach(large, 0)
      // What follows is not served.
      launcher.send(leaveFrame(), leaveFrame(), Buffer.alloc(100, 255))
      for (const execution of [running, again]) assert.equal((await execution.ended).signal, 9)
      assert.equal((await large.ended).exitCode, 0)
      assert.deepEqual(await launcher.exited, LEFT)
      assert.deepEqual(left(), [])
      // The folders are for the one who has asked.
      if (cgroups) assert.equal(existsSync(cgroupOf(launcher)), true)
    })

    it('whose connection ends while it leaves removes what it has', async () => {
      const launcher = launch({ ...SURVIVES, unread: true })
      const floods = Array.from({ length: 20 }, () => launcher.kept('exec cat /dev/zero'))
      await eventually('all run', () => launcher.children().length === floods.length)
      await launcher.idles()
      assert.equal(launcher.children().length, floods.length)
      await launcher.sendAndSeeRead(leaveFrame())
      launcher.disconnect()
      await leavesNothing(launcher)
    })
  },
  { fallbacks: true },
)

describeEach('a launcher whose reader does not read', ({ launch }) => {
  it('leaves in seconds where it is told to, and nobody reads what it tells', async () => {
    const launcher = launch({ ...SURVIVES, unread: true })
    const floods = Array.from({ length: 20 }, () => launcher.kept('exec cat /dev/zero'))
    await eventually('all run', () => launcher.children().length === floods.length)
    await launcher.idles()
    assert.equal(launcher.children().length, floods.length)
    launcher.send(leaveFrame())
    await withinSeconds('it is gone', 10, gone(launcher.pid))
    assert.deepEqual(left(), [])
    launcher.disconnect()
    assert.deepEqual(await launcher.exited, LEFT)
  })
})

/** Resolves when the process is a zombie, or no more. */
async function gone(pid: number): Promise<void> {
  while (isRunning(pid)) await sleep(20)
}
