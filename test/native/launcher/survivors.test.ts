import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { freeze, noFreezer as skip } from '../../support/freezer.js'
import { describeEach } from './variants.js'

describeEach('a process that does not die', ({ launch }) => {
  it('is waited for for 4 s, and told of as a survivor', { skip }, async () => {
    const launcher = launch({ leavesCgroups: true })
    const execution = launcher.script('setsid sleep 60 & echo $!; sleep 60')
    const [pid] = (await execution.numbers()) as [number]
    const thaw = await freeze(pid)
    try {
      const begun = performance.now()
      launcher.kill(execution)
      for (let i = 0; i < 5; i++) assert.equal(await launcher.script('echo served').result(), 'served\n')
      const { signal, survivors, pids } = await execution.ended
      assert.deepEqual({ signal, survivors, pids }, { signal: 9, survivors: 1, pids: [pid] })
      assert.ok(performance.now() - begun > 3_500)
      // Others end all the same.
      assert.equal(await launcher.script('echo served').result(), 'served\n')
    } finally {
      await thaw()
    }
    await eventually('it is dead in the end', () => !isRunning(pid))
  })

  it('and then does is none, however late that is noticed', { skip }, async () => {
    const launcher = launch()
    const execution = launcher.script('setsid sleep 60 & echo $!; sleep 60')
    const leader = await execution.started
    const [pid] = (await execution.numbers()) as [number]
    const thaw = await freeze(pid)
    try {
      launcher.kill(execution)
      await eventually('the leader is reaped', () => !existsSync(`/proc/${leader}`))
      launcher.signal('SIGSTOP')
      const stopped = performance.now()
      await thaw()
      await eventually('it is dead', () => !isRunning(pid))
      await sleep(4_200 - (performance.now() - stopped))
      launcher.signal('SIGCONT')
      assert.equal((await execution.ended).survivors, 0)
    } finally {
      launcher.signal('SIGCONT')
      await thaw()
    }
  })
})
