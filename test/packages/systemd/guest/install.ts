import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { bootstrap, CONFIG_FILE, calling, configure, removeDropIn, writeDropIn } from './bootstrap.js'
import { attempt, eventuallyInGuest, journal, property, run, SHARED, UNIT, versions } from './machine.js'
import { wholeSystem } from './whole-system.js'

run('useradd', '--create-home', 'admin')
writeFileSync(join(SHARED, 'before.json'), JSON.stringify(wholeSystem()))

describe('dpkg -i on a bare system', () => {
  it('succeeds with nothing else installed, and has the user that functions run as', () => {
    assert.notEqual(attempt('sh', '-c', 'command -v node').status, 0)
    run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
    assert.match(run('getent', 'passwd', 'flux-runner'), /:\/home\/flux-runner:\/usr\/sbin\/nologin$/)
    assert.equal(statSync('/home/flux-runner').uid, 0)
    assert.match(run('flux-agent', '--version'), new RegExp(versions.built))
  })

  it('neither enables nor starts the service', () => {
    assert.equal(attempt('systemctl', 'is-enabled', UNIT).output.trim(), 'disabled')
    assert.equal(property('ActiveState'), 'inactive')
    assert.equal(property('LoadState'), 'loaded')
  })

  it('leaves a start without a configuration to fail with what is missing, and to be tried again', async () => {
    writeDropIn('soon', '[Service]\nRestartSec=1\nRestartSteps=0\n')
    run('systemctl', 'daemon-reload')
    assert.notEqual(attempt('systemctl', 'start', UNIT).status, 0)
    assert.match(journal().join('\n'), /\/etc\/flux-agent\/agent\.yaml/)
    await eventuallyInGuest('it is started again', () => Number(property('NRestarts')) >= 2, 60)
    run('systemctl', 'stop', UNIT)
    removeDropIn('soon')
  })
})

describe('the bootstrap', () => {
  it('ends with an agent that serves, over mutual TLS, as soon as systemctl returns', async () => {
    bootstrap()
    assert.equal(property('Type'), 'notify')
    assert.equal(property('ActiveState'), 'active')
    assert.deepEqual(await calling((calls) => calls.health()), {
      healthy: true,
      version: versions.built,
      problems: [],
      state: 'serving',
      drained_since: '',
    })
    assert.equal((await calling((calls) => calls.status())).agent_id, 'guest')
    assert.equal(attempt('systemctl', 'is-enabled', UNIT).output.trim(), 'enabled')
  })
})

describe('an upgrade', () => {
  it('lets what runs end, starts the new version, and keeps functions, records and configuration', async () => {
    configure({ drain_seconds: 120 })
    run('systemctl', 'restart', UNIT)
    const configuration = readFileSync(CONFIG_FILE, 'utf8')
    const ids = await calling(async (calls) => {
      await calls.script('kept', 'sleep "$1"; echo done')
      const id = await calls.start('kept', ['0'])
      await calls.ended(id)
      return [id, await calls.start('kept', ['8']), await calls.start('kept', ['8'])]
    })

    run('dpkg', '-i', join(SHARED, 'newer.deb'))

    assert.equal(property('ActiveState'), 'active')
    assert.equal(attempt('systemctl', 'is-enabled', UNIT).output.trim(), 'enabled')
    assert.equal(readFileSync(CONFIG_FILE, 'utf8'), configuration)
    await calling(async (calls) => {
      assert.equal((await calls.health()).version, versions.newer)
      for (const id of ids) {
        const { status, output } = await calls.ended(id)
        assert.deepEqual({ status, output }, { status: 'success', output: 'done\n' })
      }
      assert.equal((await calls.execute({ function_name: 'kept', args: ['0'] })).output.toString(), 'done\n')
    })
  })

  it('succeeds where the agent does not start again, and says so', () => {
    const configuration = readFileSync(CONFIG_FILE, 'utf8')
    writeFileSync(CONFIG_FILE, 'max_tasks: many\n')
    assert.match(run('dpkg', '-i', join(SHARED, 'newer.deb')), /not started again.*systemctl status flux-agent/)
    assert.equal(property('ActiveState'), 'activating')
    writeFileSync(CONFIG_FILE, configuration)
    // A start that is under way has read the other one, and fails.
    if (attempt('systemctl', 'start', UNIT).status !== 0) run('systemctl', 'start', UNIT)
  })

  it('leaves an agent stopped that was stopped, also a downgrade', () => {
    run('systemctl', 'stop', UNIT)
    run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
    assert.equal(property('ActiveState'), 'inactive')
    assert.equal(attempt('systemctl', 'is-enabled', UNIT).output.trim(), 'enabled')
  })
})

describe('a downgrade', () => {
  it('serves what the newer version has kept', async () => {
    run('systemctl', 'start', UNIT)
    await calling(async (calls) => {
      assert.equal((await calls.health()).version, versions.built)
      assert.equal((await calls.execute({ function_name: 'kept', args: ['0'] })).output.toString(), 'done\n')
    })
  })

  it('is refused by its start, with the fix, where the newer version has another format of its state', () => {
    const format = '/var/lib/flux-agent/format.json'
    const kept = readFileSync(format, 'utf8')
    run('systemctl', 'stop', UNIT)
    writeFileSync(format, JSON.stringify({ ...JSON.parse(kept), format: 1000, version: '99.0.0' }))
    assert.notEqual(attempt('systemctl', 'start', UNIT).status, 0)
    assert.match(journal('--lines=20').join('\n'), /99\.0\.0/)
    writeFileSync(format, kept)
    run('systemctl', 'stop', UNIT)
    run('systemctl', 'start', UNIT)
  })
})

describe('a shutdown', () => {
  it('comes while an execution runs', async () => {
    configure({ drain_seconds: 2 })
    run('systemctl', 'restart', UNIT)
    await calling(async (calls) => {
      const id = await calls.start('kept', ['600'])
      assert.equal((await calls.record(id)).status, 'running')
      writeFileSync(join(SHARED, 'running-at-shutdown'), id)
    })
  })
})
