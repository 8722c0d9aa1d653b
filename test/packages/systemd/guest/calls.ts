import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { scriptZip } from '../../../support/apps.js'
import { calling } from './bootstrap.js'
import { runnerProcesses } from './machine.js'

describe('the calls of the contract', () => {
  it('register, deploy and execute, sync and async, as flux-runner', () =>
    calling(async (calls) => {
      const config = { name: 'who', handler: 'main.sh', timeout_seconds: 60, max_concurrency: 5 }
      assert.equal((await calls.register(config)).success, true)
      assert.equal((await calls.deploy('who', scriptZip('id -un; echo "$HOME"; echo "$1"'))).success, true)
      const { output, error } = await calls.execute({ function_name: 'who', args: ['sync'] })
      assert.equal(error, '')
      assert.equal(output.toString(), 'flux-runner\n/home/flux-runner\nsync\n')
      const record = await calls.ended(await calls.start('who', ['async']))
      assert.equal(record.status, 'success')
      assert.equal(record.output, 'flux-runner\n/home/flux-runner\nasync\n')
    }))

  it('cancel with all that an execution has started', () =>
    calling(async (calls) => {
      await calls.script('escape', 'setsid sleep 600 & sleep 600 & echo ready; wait')
      const id = await calls.start('escape')
      await calls.printed(id, 'ready')
      assert.equal((await calls.status()).active_tasks, 1)
      assert.ok(runnerProcesses().length >= 3)
      assert.equal((await calls.cancel(id)).success, true)
      assert.equal((await calls.ended(id)).status, 'cancelled')
      assert.deepEqual(runnerProcesses(), [])
    }))

  it('are refused to another client of the same authority', () =>
    assert.rejects(
      calling((calls) => calls.health(), 'other'),
      /PERMISSION_DENIED/,
    ))
})
