import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eventually } from '../../../support/eventually.js'
import { isRunning } from '../../../support/processes.js'
import { calling, removeDropIn, writeDropIn } from './bootstrap.js'
import { mainPid, property, run, UNIT } from './machine.js'

const WATCHDOG_SECONDS = 10

describe('an agent that is killed', () => {
  it('is started again, and leaves nothing running that it has started', async () => {
    const { id, pids } = await calling(async (calls) => {
      await calls.script('escape', 'setsid sleep 602 & echo $!; sleep 602 & echo $!; echo $$; echo ready; wait')
      const started = await calls.start('escape')
      const { output } = await calls.printed(started, 'ready')
      return { id: started, pids: (output?.match(/\d+/g) ?? []).map(Number) }
    })
    assert.equal(pids.length, 3)
    const killed = mainPid()
    process.kill(killed, 'SIGKILL')
    await restarted(killed)
    assert.deepEqual(pids.filter(isRunning), [])
    const record = await calling((calls) => calls.record(id))
    assert.equal(record.status, 'failed')
    assert.equal(record.error, 'agent restarted')
  })

  it('comes back however often', async () => {
    writeDropIn('soon', '[Service]\nRestartSec=100ms\nRestartSteps=0\n')
    run('systemctl', 'daemon-reload')
    const before = Number(property('NRestarts'))
    for (let times = 0; times < 7; times++) {
      const pid = await eventually('it runs', mainPid, 60)
      process.kill(pid, 'SIGKILL')
      await eventually('it is another', () => ![pid, 0].includes(mainPid()), 60)
    }
    await eventually('it is active', () => property('ActiveState') === 'active', 60)
    assert.ok(Number(property('NRestarts')) >= before + 7)
    assert.equal((await calling((calls) => calls.health())).healthy, true)
    removeDropIn('soon')
    run('systemctl', 'daemon-reload')
  })
})

describe('an agent that hangs', () => {
  it('is killed and started again by the watchdog', async () => {
    writeDropIn('watched', `[Service]\nWatchdogSec=${WATCHDOG_SECONDS}\n`)
    run('systemctl', 'daemon-reload')
    run('systemctl', 'restart', UNIT)
    const stopped = mainPid()
    process.kill(stopped, 'SIGSTOP')
    await restarted(stopped, 2 * WATCHDOG_SECONDS)
    assert.equal((await calling((calls) => calls.health())).healthy, true)
    removeDropIn('watched')
    run('systemctl', 'daemon-reload')
  })
})

/** Waits until another process serves. */
async function restarted(pid: number, seconds = 30): Promise<void> {
  await eventually('it has been ended', () => mainPid() !== pid, seconds)
  await eventually('another serves', () => property('ActiveState') === 'active' && mainPid() !== pid, 60)
}
