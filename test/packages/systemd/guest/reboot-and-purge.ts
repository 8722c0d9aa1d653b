import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { isRunning } from '../../../../harness/processes.js'
import { calling } from './bootstrap.js'
import { attempt, eventuallyInGuest, property, run, runnerProcesses, SHARED, UNIT } from './machine.js'
import { type WholeSystem, wholeSystem } from './whole-system.js'

describe('after a reboot', () => {
  it('functions are served again without being deployed, and records are kept', async () => {
    await eventuallyInGuest('the agent is active', () => property('ActiveState') === 'active', 60)
    await calling(async (calls) => {
      assert.equal((await calls.execute({ function_name: 'kept', args: ['0'] })).output.toString(), 'done\n')
      const cut = await calls.record(readFileSync(join(SHARED, 'running-at-shutdown'), 'utf8'))
      assert.equal(cut.status, 'failed')
      assert.notEqual(cut.status_at, undefined)
    })
  })
})

describe('dpkg -r', () => {
  it('stops the agent and leaves configuration, state, code and user', async () => {
    await calling((calls) => calls.start('kept', ['600']))
    run('dpkg', '-r', 'flux-agent')
    assert.equal(property('ActiveState'), 'inactive')
    assert.deepEqual(runnerProcesses(), [])
    for (const kept of ['/etc/flux-agent', '/var/lib/flux-agent', '/home/flux-runner/apps']) {
      assert.ok(existsSync(kept), kept)
    }
    assert.equal(attempt('getent', 'passwd', 'flux-runner').status, 0)
    assert.equal(existsSync('/usr/bin/flux-agent'), false)
  })
})

describe('dpkg -P', () => {
  it('leaves a system as it was, but for what the control plane has written', () => {
    const asRunner = ['--reuid=flux-runner', '--regid=flux-runner', '--clear-groups']
    const left = Number(run('setpriv', ...asRunner, 'sh', '-c', 'sleep 600 >/dev/null 2>&1 & echo $!'))
    assert.ok(isRunning(left))
    run('dpkg', '-P', 'flux-agent')
    for (const written of ['/home/admin/flux-agent', `/etc/systemd/system/${UNIT}.d`])
      rmSync(written, { recursive: true })
    const before: WholeSystem = JSON.parse(readFileSync(join(SHARED, 'before.json'), 'utf8'))
    const after = wholeSystem()
    assert.deepEqual(
      { added: without(after.files, before.files), missing: without(before.files, after.files) },
      { added: [], missing: [] },
    )
    assert.equal(after.users, before.users)
    assert.equal(after.groups, before.groups)
    assert.equal(isRunning(left), false)
  })
})

await import('./quick-start.js')

function without(files: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others)
  return files.filter((file) => !known.has(file))
}
