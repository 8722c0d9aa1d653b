import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning } from '../../../../harness/processes.js'
import { removeDropIn, writeDropIn } from './bootstrap.js'
import { attempt, eventuallyInGuest, journal, mainPid, property, run, SHARED, UNIT } from './machine.js'
import { installStandIn, startedAfter, startStandIn, startsAgain } from './stand-in.js'

const EXECUTIONS = 'flux-agent-executions.service'
/** Far less than TimeoutStopSec, after which systemd would kill anything. */
const STOP_SECONDS = 10
const WITNESS = '/var/lib/witness'

run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
installStandIn()

/** Sends a signal to the main process and waits for its end. */
async function end(signal: NodeJS.Signals): Promise<number> {
  const pid = signalMain(signal)
  await eventuallyInGuest('it is dead', () => !isRunning(pid))
  return pid
}

function signalMain(signal: NodeJS.Signals): number {
  const pid = mainPid()
  // 0 would be the group of this process.
  assert.notEqual(pid, 0)
  process.kill(pid, signal)
  return pid
}

async function stopLeavesNothing(pids: readonly number[]): Promise<void> {
  const begin = performance.now()
  run('systemctl', 'stop', UNIT)
  await eventuallyInGuest('the unit for executions is stopped', () => stateOf(EXECUTIONS) === 'inactive')
  assert.ok(performance.now() - begin < STOP_SECONDS * 1000)
  assert.deepEqual(pids.filter(isRunning), [])
  assert.equal(property('ActiveState'), 'inactive')
}

function stateOf(unit: string): string {
  return run('systemctl', 'show', '--property', 'ActiveState', '--value', unit)
}

describe('what an agent leaves', () => {
  let pids: readonly number[]
  before(async () => {
    pids = await startStandIn()
  })
  after(async () => {
    removeDropIn('case')
    run('systemctl', 'daemon-reload')
    await stopLeavesNothing(pids)
  })

  for (const [what, signal] of [
    ['is killed', 'SIGKILL'],
    ['ends of its own accord', 'SIGUSR2'],
  ] as const) {
    it(`lives on when it ${what}, and systemd starts it again`, async () => {
      const pid = await end(signal)
      await eventuallyInGuest('it waits', () => property('SubState') === 'auto-restart')
      await startedAfter(pid)
      assert.equal(pids.every(isRunning), true)
    })
  }

  it('lives on when the kernel kills it for memory', async () => {
    run('systemctl', 'set-property', '--runtime', UNIT, 'MemoryMax=32M')
    await startedAfter(await end('SIGUSR1'))
    run('systemctl', 'set-property', '--runtime', UNIT, 'MemoryMax=infinity')
    assert.match(journal('--lines=50').join('\n'), /OOM killer/)
    assert.equal(pids.every(isRunning), true)
  })

  it('lives on when the watchdog kills it', async () => {
    writeDropIn('case', '[Service]\nWatchdogSec=3\n')
    run('systemctl', 'daemon-reload')
    // A watchdog counts from a start.
    const pid = await startedAfter(await end('SIGKILL'))
    await eventuallyInGuest('the watchdog has killed it', () => !isRunning(pid))
    removeDropIn('case')
    run('systemctl', 'daemon-reload')
    await startedAfter(pid)
    assert.match(journal('--lines=50').join('\n'), /Watchdog timeout/)
    assert.equal(pids.every(isRunning), true)
  })

  it('lives on while starts fail, units are loaded again, and a start is hurried', async () => {
    startsAgain(false)
    const pid = await end('SIGKILL')
    const failures = Number(property('NRestarts')) + 2
    await eventuallyInGuest('two starts have failed', () => Number(property('NRestarts')) >= failures)
    run('systemctl', 'daemon-reload')
    startsAgain(true)
    run('systemctl', 'restart', UNIT)
    await startedAfter(pid)
    assert.equal(pids.every(isRunning), true)
  })

  it('is no reason for warnings of systemd', () => {
    assert.doesNotMatch(journal().join('\n'), /left-over|remains running/)
  })

  it('cannot be stopped alone', () => {
    assert.match(attempt('systemctl', 'stop', EXECUTIONS).output, /dependency only/)
    assert.equal(pids.every(isRunning), true)
  })
})

describe('systemctl stop leaves nothing', () => {
  const states: Record<string, () => Promise<unknown>> = {
    'of one that serves': async () => {},
    'of one that was stopped by a signal': async () => signalMain('SIGSTOP'),
    'of one that was killed this moment': async () => signalMain('SIGKILL'),
    'of one that waits to be started again': async () => {
      await end('SIGKILL')
      await eventuallyInGuest('it waits', () => property('SubState') === 'auto-restart')
    },
    'of one whose starts fail': async () => {
      startsAgain(false)
      await end('SIGKILL')
      const failures = Number(property('NRestarts')) + 1
      await eventuallyInGuest('a start has failed', () => Number(property('NRestarts')) >= failures)
    },
    'of one that has been started again': async () => startedAfter(await end('SIGKILL')),
  }
  for (const [state, reach] of Object.entries(states)) {
    it(state, async () => {
      const pids = await startStandIn()
      await reach()
      await stopLeavesNothing(pids)
    })
  }

  it('of one that is killed at any moment', async () => {
    writeDropIn('case', '[Service]\nRestartSec=100ms\n')
    run('systemctl', 'daemon-reload')
    for (let moment = 0; moment < 300; moment += 30) {
      const pids = await startStandIn()
      signalMain('SIGKILL')
      await sleep(moment)
      await stopLeavesNothing(pids)
    }
    removeDropIn('case')
    run('systemctl', 'daemon-reload')
  })

  it('of one that has failed for good, even without a stop', async () => {
    writeDropIn('case', '[Service]\nRestart=no\n')
    run('systemctl', 'daemon-reload')
    const pids = await startStandIn()
    await end('SIGKILL')
    await eventuallyInGuest('nothing is left', () => !pids.some(isRunning))
    assert.equal(property('ActiveState'), 'failed')
    removeDropIn('case')
    run('systemctl', 'daemon-reload')
    run('systemctl', 'reset-failed', UNIT)
  })

  it('and a start right behind it has what it leaves', async () => {
    await startStandIn()
    signalMain('SIGKILL')
    run('systemctl', 'stop', UNIT)
    const pids = await startStandIn()
    await sleep(1000)
    assert.equal(pids.every(isRunning), true)
    await stopLeavesNothing(pids)
  })
})

describe('a shutdown', () => {
  it('comes while it waits to be started again', async () => {
    writeDropIn('case', '[Service]\nRestartSec=600\n')
    const pids = await startStandIn()
    // Stopped behind the unit for executions, since it was started before.
    const left = `for pid in ${pids.join(' ')}; do [ ! -d /proc/$pid ] || echo $pid; done`
    const lines = [
      'Type=oneshot',
      'RemainAfterExit=yes',
      'ExecStart=/bin/true',
      `ExecStop=/bin/sh -c '(${left}; echo end) >${WITNESS}'`,
    ]
    writeFileSync(
      '/etc/systemd/system/witness.service',
      `[Unit]\nBefore=${EXECUTIONS}\n[Service]\n${lines.join('\n')}\n`,
    )
    run('systemctl', 'daemon-reload')
    run('systemctl', 'start', 'witness')
    await end('SIGKILL')
    await eventuallyInGuest('it waits', () => property('SubState') === 'auto-restart')
    assert.equal(pids.every(isRunning), true)
  })
})
