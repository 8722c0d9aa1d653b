import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { calling, configure, removeDropIn, writeDropIn } from './bootstrap.js'
import { property, run, runnerProcesses, UNIT } from './machine.js'

/** Far less than an execution here takes, so that a stop which waits for it needs the agent's word. */
const STOP_SECONDS = 4

describe('systemctl stop', () => {
  before(async () => {
    await calling((calls) => calls.script('nap', 'sleep "$1"; echo woken'))
    writeDropIn('impatient', `[Service]\nTimeoutStopSec=${STOP_SECONDS}\n`)
    run('systemctl', 'daemon-reload')
  })

  after(() => {
    removeDropIn('impatient')
    configure({})
    run('systemctl', 'daemon-reload')
    run('systemctl', 'restart', UNIT)
  })

  it('lets an execution end that does within drain_seconds, beyond the time that the unit has', async () => {
    configure({ drain_seconds: 60 })
    run('systemctl', 'restart', UNIT)
    const id = await calling((calls) => calls.start('nap', [String(2.5 * STOP_SECONDS)]))
    run('systemctl', 'stop', UNIT)
    assert.equal(property('Result'), 'success')
    run('systemctl', 'start', UNIT)
    const { status, output } = await calling((calls) => calls.record(id))
    assert.deepEqual({ status, output }, { status: 'success', output: 'woken\n' })
  })

  it('ends one that does not, and its record says so', async () => {
    configure({ drain_seconds: 2 })
    run('systemctl', 'restart', UNIT)
    const id = await calling((calls) => calls.start('nap', ['600']))
    run('systemctl', 'stop', UNIT)
    assert.equal(property('Result'), 'success')
    assert.deepEqual(runnerProcesses(), [])
    run('systemctl', 'start', UNIT)
    const record = await calling((calls) => calls.record(id))
    assert.equal(record.status, 'failed')
    assert.match(record.error ?? '', /stop/)
  })
})
