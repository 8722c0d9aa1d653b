import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync } from '../support/live-calls.js'
import { deployWithFiles } from '../support/scripts.js'

const MiB = 2 ** 20
const MESSAGE_LIMIT = 50 * MiB

describeAgent('GetExecution', { store: ['embedded', 'redis'] }, ({ agent, calls }) => {
  before(async () => {
    await calls.script('wait', 'echo waiting; sleep 60')
    await calls.script('end', 'echo ended; exit "$1"')
  })

  it('finds a running execution with its output so far, async or sync', async () => {
    const id = await calls.start('wait')
    const sync = callSync(agent.client, { function_name: 'wait' })
    for (const running of [id, sync.id]) {
      const record = await calls.printed(running, 'waiting\n')
      assert.deepEqual(
        [record.execution_id, record.agent_id, record.function_name, record.status, record.output],
        [running, 'test-agent', 'wait', 'running', 'waiting\n'],
      )
      assert.match(record.started_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
      assert.equal('status_at' in record, false)
    }
    await calls.cancel(id)
    await calls.cancel(sync.id)
    await sync.outcome
    assert.equal((await calls.get(sync.id)).found, false, 'a finished sync execution leaves no record')
  })

  it('finds an ended one, with empty fields left out', async () => {
    const good = await calls.ended(await calls.start('end', ['0']))
    const bad = await calls.ended(await calls.start('end', ['9']))
    assert.deepEqual([good.status, good.output, 'error' in good], ['success', 'ended\n', false])
    assert.deepEqual([bad.status, bad.output, bad.error, bad.exit_code], ['failed', 'ended\n', 'exit code 9', 9])
    assert.ok(Date.parse(good.status_at ?? '') >= Date.parse(good.started_at))
  })

  it('does not find what never was', async () => {
    assert.deepEqual(await calls.get('never-was'), { found: false, data: Buffer.alloc(0) })
  })

  it('keeps characters whole that are written in parts, and replaces invalid bytes only in its answer', async () => {
    const text = 'ä€😀'.repeat(3)
    const files = { text: Buffer.from(text) }
    const byByte = 'i=1; while [ $i -le 27 ]; do tail -c +$i text | head -c 1; sleep 0.02; i=$((i+1)); done'
    await deployWithFiles(calls, 'split', byByte, files)
    assert.equal((await calls.ended(await calls.start('split'))).output, text)

    await deployWithFiles(calls, 'binary', 'cat bytes', { bytes: Buffer.from('a\xff\x80z\0', 'latin1') })
    assert.equal((await calls.ended(await calls.start('binary'))).output, 'a\ufffd\ufffdz\0')
    const sync = await calls.execute({ function_name: 'binary' })
    assert.deepEqual(sync.output, Buffer.from('a\xff\x80z\0', 'latin1'))
  })

  it('answers below the message limit, whatever the output turns into as JSON', async () => {
    // A control character takes six bytes in JSON.
    const lines = 'echo first; head -c 31000000 /dev/zero | tr "\\0" "\\1"; echo; echo last'
    await calls.script('explode', lines)
    const id = await calls.start('explode')
    await eventually('it has ended', async () => (await calls.status()).active_tasks === 0, 60)
    const { data } = await calls.get(id)
    assert.ok(data.length <= MESSAGE_LIMIT, `${data.length} bytes`)
    assert.ok(data.length > 0.9 * MESSAGE_LIMIT, `${data.length} bytes`)
    const { output = '', output_bytes: bytes = 0 } = JSON.parse(data.toString())
    assert.equal(bytes, 31_000_000 + 'first\n\nlast\n'.length)
    assert.ok(output.startsWith('first\n\u0001') && output.endsWith('\u0001\nlast\n'))
    const [mark = '', leftOut] = /\n\[flux-agent: (\d+) bytes of output left out\]\n/.exec(output) ?? []
    assert.equal(output.length - mark.length + Number(leftOut), bytes)
  })
})
