import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import { calling } from './bootstrap.js'
import { eventuallyInGuest, journal, mainPid, property, run } from './machine.js'

const CLAIMS = ['STOPPING=1', 'READY=1', 'STATUS=forged', 'WATCHDOG=trigger', 'MAINPID=1']

describe('functions in the unit', () => {
  it('are killed for their own memory limit, with that in the record, and the agent goes on', () =>
    calling(async (calls) => {
      const before = mainPid()
      await calls.script('greedy', 'exec tail /dev/zero', { memory_mb: 64 })
      const record = await calls.ended(await calls.start('greedy'))
      assert.equal(record.status, 'failed')
      assert.equal(record.oom_killed, true)
      assert.match(record.error ?? '', /memory/)
      assert.equal(property('ActiveState'), 'active')
      assert.equal(mainPid(), before)
    }))

  it('cannot tell systemd anything in the name of the agent', () =>
    calling(async (calls) => {
      const before = mainPid()
      await calls.script('claim', 'for claim; do NOTIFY_SOCKET=/run/systemd/notify systemd-notify "$claim"; done')
      const { error, output } = await calls.execute({ function_name: 'claim', args: CLAIMS })
      assert.equal(error, '', output.toString())
      await eventuallyInGuest('systemd has refused each', () => {
        const lines = journal('--unit=flux-agent-executions.service')
        const refused = lines.filter((line) => line.includes('reception is disabled'))
        return refused.length === CLAIMS.length
      })
      assert.equal(mainPid(), before)
      assert.equal(property('ActiveState'), 'active')
      assert.doesNotMatch(property('StatusText'), /forged/)
    }))

  it('write to their home and to /tmp, make namespaces and use the network', () =>
    calling(async (calls) => {
      const lines = [
        'set -e',
        'for folder in "$HOME" /tmp; do echo mine >"$folder/$$"; rm "$folder/$$"; done',
        'unshare --user --map-root-user --mount --pid --fork mount -t proc proc /proc',
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/50052'",
      ]
      await calls.script('free', lines.join('\n'))
      const { output, error } = await calls.execute({ function_name: 'free' })
      assert.equal(error, '', output.toString())
    }))

  it('gain no rights by a setuid program', () =>
    calling(async (calls) => {
      const program = '/usr/local/bin/root-id'
      run('install', '--mode=4755', '/usr/bin/id', program)
      assert.equal(run('setpriv', '--reuid=flux-runner', '--clear-groups', program, '-u'), '0')
      await calls.script('climb', `${program} -un`)
      assert.equal((await calls.execute({ function_name: 'climb' })).output.toString(), 'flux-runner\n')
      rmSync(program)
    }))

  it('find no variables of systemd in their environment', () =>
    calling(async (calls) => {
      await calls.script('variables', 'env')
      const variables = (await calls.execute({ function_name: 'variables' })).output.toString()
      assert.doesNotMatch(variables, /NOTIFY_SOCKET|WATCHDOG|INVOCATION_ID|JOURNAL_STREAM|AGENT_CONFIG|STATE_DIRECTORY/)
    }))
})
