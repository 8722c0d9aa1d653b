import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { isRunning } from '../../../../harness/processes.js'
import { calling, removeDropIn, writeDropIn } from './bootstrap.js'
import { eventuallyInGuest, journal, mainPid, property, run, UNIT } from './machine.js'

const WATCHDOG_SECONDS = 6
const START_SECONDS = 60
/** More than systemd's own limit lets a unit be started in ten seconds. */
const KILLS = 6

describe('an agent that is killed', () => {
  after(() => {
    removeDropIn('soon')
    run('systemctl', 'daemon-reload')
  })

  it('comes back however often', async () => {
    writeDropIn('soon', '[Service]\nRestartSec=100ms\n')
    run('systemctl', 'daemon-reload')
    const before = Number(property('NRestarts'))
    let killed = 0
    const another = () => {
      const pid = mainPid()
      return pid === killed ? undefined : pid
    }
    for (let times = 0; times < KILLS; times++) {
      killed = await eventuallyInGuest('it is started', another, START_SECONDS)
      process.kill(killed, 'SIGKILL')
    }
    await serves()
    assert.equal(Number(property('NRestarts')), before + KILLS)
  })
})

describe('an agent that hangs', () => {
  after(() => {
    removeDropIn('watched')
    run('systemctl', 'daemon-reload')
  })

  it('is killed and started again by the watchdog, and not before', async () => {
    writeDropIn('watched', `[Service]\nWatchdogSec=${WATCHDOG_SECONDS}\n`)
    run('systemctl', 'daemon-reload')
    run('systemctl', 'restart', UNIT)
    const pid = mainPid()
    await eventuallyInGuest(
      'it is older than the watchdog lets it be',
      async () => (await uptime()) > 1.5 * WATCHDOG_SECONDS,
      START_SECONDS,
    )
    assert.equal(mainPid(), pid)
    process.kill(pid, 'SIGSTOP')
    await eventuallyInGuest('it is ended', () => !isRunning(pid), 2 * WATCHDOG_SECONDS)
    await serves()
    assert.match(journal('--lines=50').join('\n'), /Watchdog timeout/)
  })
})

/** Waits until systemd has started it again. */
async function serves(): Promise<void> {
  const healthy = async () => (await calling((calls) => calls.health())).healthy
  await eventuallyInGuest('it serves again', healthy, START_SECONDS)
}

async function uptime(): Promise<number> {
  return (await calling((calls) => calls.status())).uptime_seconds
}
