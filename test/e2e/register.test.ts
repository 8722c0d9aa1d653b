import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { scriptZip } from '../support/apps.js'
import { describeAgent } from '../support/describe-agent.js'

describeAgent('RegisterFunction', ({ agent, calls }) => {
  const refused = async (config: object) => {
    const { success, message } = await calls.register({ name: 'wrong', handler: 'main.sh', ...config })
    assert.equal(success, false)
    return message
  }

  it('says what is wrong, where, and what is allowed', async () => {
    assert.match(await refused({ name: '../x' }), /function name "\.\.\/x" is not allowed; allowed: 1 to 128 of A-Z/)
    assert.match(
      await refused({ handler: '/bin/sh' }),
      /function wrong: handler "\/bin\/sh" .* allowed: a relative path/,
    )
    assert.match(
      await refused({ timeout_seconds: -1 }),
      /timeout_seconds -1 is not allowed; allowed: 0 \(no limit\) to 2147483647/,
    )
    assert.match(await refused({ memory_mb: '9223372036854775807' }), /memory_mb 9223\d+ is not allowed; allowed: 0/)
    assert.match(await refused({ env: { 'A=B': 'x' } }), /env name "A=B" is not allowed; allowed: not empty, without =/)
    assert.match(await refused({ env: { A: 'x\0' } }), /env A holds a NUL byte/)
    assert.match(
      await refused({ max_concurrency_behavior: 'queue' }),
      /"queue" is not allowed; allowed: exit, wait or empty/,
    )
    assert.equal((await calls.execute({ function_name: 'wrong' })).error, 'function not found')
  })

  it('takes what is surely not meant with a warning, in the answer, the log and the record', async () => {
    const config = { name: 'cores', handler: 'main.sh', cpu_millicores: 1 }
    const archive = scriptZip('i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo counted')
    const warning = /; warning: cpu_millicores 1 is not enforced, .*1000 is one core/
    const deployed = await calls.deploy('cores', archive, config)
    assert.equal(deployed.success, true)
    assert.match(deployed.message, /^function deployed; warning: cpu_millicores 1 /)
    for (const ack of [await calls.register(config), await calls.deploy('cores', archive)]) {
      assert.equal(ack.success, true)
      assert.match(ack.message, warning)
    }
    const record = await calls.ended(await calls.start('cores'))
    assert.deepEqual([record.status, record.output], ['success', 'counted\n'])
    assert.match(record.warnings?.join() ?? '', /^cpu_millicores 1 is not enforced/)
    await calls.script('usual', 'true')
    const usual = await calls.ended(await calls.start('usual'))
    assert.equal('warnings' in usual, false)
    const logged = agent
      .logs()
      .split('\n')
      .filter((line) => line.includes('function cores: cpu_millicores 1 is not'))
    assert.equal(logged.length, 3)
  })

  it('tells of a handler that the code has not, which came for another', async () => {
    await calls.script('renamed', 'echo hello')
    const renamed = await calls.register({ name: 'renamed', handler: 'bin/other' })
    assert.deepEqual(renamed, {
      success: true,
      message:
        'function registered; warning: handler "bin/other" is not in the code that is deployed here: deploy its code',
    })
    const record = await calls.ended(await calls.start('renamed'))
    assert.match(record.error ?? '', /bin\/other does not exist/)
    assert.match(record.warnings?.join() ?? '', /^handler "bin\/other" is not in the code/)
    const back = await calls.register({ name: 'renamed', handler: 'main.sh' })
    assert.equal(back.message, 'function registered')
  })

  it('keeps the old settings where the new ones are refused', async () => {
    await calls.script('kept', 'echo $WHICH', { env: { WHICH: 'old' } })
    await calls.register({ name: 'kept', handler: 'main.sh', env: { WHICH: 'new' }, max_concurrency: -1 })
    assert.equal((await calls.execute({ function_name: 'kept' })).output.toString(), 'old\n')
  })

  it('counts for the executions that come, while those that run keep what they had', async () => {
    const gate = join(agent.dir, 'gate')
    const lines = 'echo $WHICH; while [ ! -e "$1" ]; do sleep 0.05; done; echo $WHICH'
    await calls.script('changed', lines, { env: { WHICH: 'old' } })
    const before = await calls.start('changed', [gate])
    await calls.printed(before, 'old')
    const settings = { name: 'changed', handler: 'main.sh', timeout_seconds: 1, env: { WHICH: 'new' } }
    assert.deepEqual(await calls.register(settings), { success: true, message: 'function registered' })
    const { error, output } = await calls.execute({ function_name: 'changed', args: [gate] })
    assert.deepEqual([error, output.toString()], ['execution timed out after 1s', 'new\n'])
    writeFileSync(gate, '')
    const record = await calls.ended(before)
    assert.deepEqual([record.status, record.output], ['success', 'old\nold\n'])
  })

  it('survives a restart of the agent, and so does the code', async () => {
    const name = 'Any.name_that-is.allowed0'
    await calls.script(name, 'echo "$WHICH"; sleep 60', { env: { WHICH: 'ü "kept"' }, timeout_seconds: 1 })
    await calls.register({ name: 'only-registered', handler: 'main.sh' })
    assert.equal(await agent.stop(), 0)
    await agent.start()
    const { error, output } = await calls.execute({ function_name: name })
    assert.deepEqual([error, output.toString()], ['execution timed out after 1s', 'ü "kept"\n'])
    const other = await calls.execute({ function_name: 'only-registered' })
    assert.equal(other.error, 'function only-registered is not deployed on this agent')
  })

  it('has stored what it acknowledged, even where the agent is killed at once', async () => {
    await calls.register({ name: 'acknowledged', handler: 'main.sh' })
    await agent.kill()
    await agent.start()
    const { error } = await calls.execute({ function_name: 'acknowledged' })
    assert.equal(error, 'function acknowledged is not deployed on this agent')
  })
})
