import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning } from '../../../../harness/processes.js'
import { bootstrap, calling, configure, removeDropIn, writeDropIn } from './bootstrap.js'
import { deployCount, numbers, startCount } from './count.js'
import { eventuallyInGuest, mainPid, property, run, runnerProcesses, SHARED, UNIT } from './machine.js'

const START_SECONDS = 60

run('useradd', '--create-home', 'admin')
run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
bootstrap()
configure({ drain_seconds: 1 })
run('systemctl', 'restart', UNIT)
await calling(deployCount)

/** Sends a signal to the agent. */
function signalAgent(signal: NodeJS.Signals): void {
  const pid = mainPid()
  assert.notEqual(pid, 0)
  process.kill(pid, signal)
}

async function serves(): Promise<void> {
  const healthy = async () => (await calling((calls) => calls.health())).healthy
  await eventuallyInGuest('it serves again', healthy, START_SECONDS)
}

async function waitsToBeStarted(): Promise<void> {
  await eventuallyInGuest('it waits to be started again', () => property('SubState') === 'auto-restart')
}

/** Looks all the time: an agent starts within one or two seconds. */
async function starts(): Promise<void> {
  const deadline = performance.now() + 1000 * START_SECONDS
  while (property('SubState') !== 'start') {
    assert.ok(performance.now() < deadline, 'it starts')
    await sleep(20)
  }
}

describe('an execution', () => {
  after(() => {
    removeDropIn('case')
    run('systemctl', 'daemon-reload')
  })

  it('is in the unit for executions, and so is what has started it', async () => {
    const id = await calling((calls) => startCount(calls, 600))
    const [pid] = runnerProcesses()
    const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    assert.match(cgroup, /\/flux-agent-executions\.service\/executions\//)
    const inAgent = run('systemd-cgls', '--no-pager', '--unit', UNIT)
    assert.doesNotMatch(inAgent, /launcher/)
    assert.equal((await calling((calls) => calls.cancel(id))).success, true)
  })

  const deaths: Record<string, () => Promise<void>> = {
    'is killed': async () => signalAgent('SIGKILL'),
    'is killed by the watchdog': async () => {
      writeDropIn('case', '[Service]\nWatchdogSec=6\n')
      run('systemctl', 'daemon-reload')
      run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', UNIT)
      await waitsToBeStarted()
      await serves()
      const pid = mainPid()
      signalAgent('SIGSTOP')
      await eventuallyInGuest('it is killed', () => !isRunning(pid), 30)
    },
    'hands over': async () => signalAgent('SIGUSR2'),
  }
  for (const [what, happens] of Object.entries(deaths)) {
    it(`goes on when the agent ${what}, and loses no output`, async () => {
      const id = await calling((calls) => startCount(calls, 60))
      const pids = runnerProcesses()
      await happens()
      await eventuallyInGuest('the agent is dead', () => property('SubState') !== 'running')
      await serves()
      // sleep(1) is another each second.
      assert.ok(pids.some(isRunning))
      const record = await calling((calls) => calls.ended(id, 120))
      assert.deepEqual({ status: record.status, output: record.output }, { status: 'success', output: numbers(60) })
    })
  }
})

describe('systemctl stop leaves nothing', () => {
  const states: Record<string, () => Promise<void>> = {
    'of an agent that serves': async () => {},
    'of one that was stopped by a signal': async () => signalAgent('SIGSTOP'),
    'of one that was killed this moment': async () => signalAgent('SIGKILL'),
    'of one that waits to be started again': async () => {
      signalAgent('SIGKILL')
      await waitsToBeStarted()
    },
    'of one that takes over': async () => {
      signalAgent('SIGKILL')
      await waitsToBeStarted()
      await starts()
    },
  }
  for (const [state, reach] of Object.entries(states)) {
    it(state, async () => {
      const id = await calling((calls) => startCount(calls, 600))
      await reach()
      run('systemctl', 'stop', UNIT)
      await eventuallyInGuest('nothing is left', () => runnerProcesses().length === 0, 2)
      run('systemctl', 'start', UNIT)
      const { status } = await calling((calls) => calls.record(id))
      assert.equal(status, 'failed')
    })
  }
})

describe('dpkg -r', () => {
  before(async () => {
    await calling((calls) => startCount(calls, 600))
    signalAgent('SIGKILL')
    await waitsToBeStarted()
  })

  it('leaves nothing of an agent that waits to be started again', async () => {
    run('dpkg', '-r', 'flux-agent')
    await eventuallyInGuest('nothing is left', () => runnerProcesses().length === 0, 2)
    assert.equal(
      run('sh', '-c', `ls -d /sys/fs/cgroup/system.slice/system-fluxagent.slice/*/ 2>/dev/null || echo none`),
      'none',
    )
  })
})
