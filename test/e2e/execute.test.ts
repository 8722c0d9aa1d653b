import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { describeAgent } from '../support/describe-agent.js'
import { awaitGate, Gate } from '../support/scripts.js'

describeAgent('ExecuteFunction', ({ calls }) => {
  it('answers a sync execution with its output and duration', async () => {
    await calls.script('greet', 'echo "hello $1"; sleep 0.1')
    const response = await calls.execute({ function_name: 'greet', args: ['world'] })
    assert.deepEqual([response.error, response.output.toString()], ['', 'hello world\n'])
    assert.ok(response.duration_ms >= 100, `${response.duration_ms} ms`)
  })

  it('keeps the order of stdout and stderr', async () => {
    await calls.script(
      'order',
      'for i in 1 2 3 4 5; do echo "out $i"; echo "err $i" >&2; done; echo last > /dev/stdout',
    )
    const { output } = await calls.execute({ function_name: 'order' })
    const expected = [1, 2, 3, 4, 5].flatMap((i) => [`out ${i}`, `err ${i}`]).concat('last', '')
    assert.equal(output.toString(), expected.join('\n'))
  })

  it('records an async execution, live output first', async () => {
    await calls.script('count', `echo one; ${awaitGate(1)}; echo two`)
    const gate = new Gate()
    const id = await calls.start('count', [gate.path])
    const running = await calls.printed(id, 'one')
    assert.equal(running.status, 'running')
    gate.open()
    const record = await calls.ended(id)
    assert.deepEqual([record.status, record.output, record.agent_id], ['success', 'one\ntwo\n', 'test-agent'])
  })

  it('kills the whole group on a cancel', async () => {
    await calls.script('family', 'sleep 60 & echo $!; sleep 60 & echo $!; echo ready; wait')
    const id = await calls.start('family')
    const pids = (await calls.printed(id, 'ready')).output?.match(/\d+/g)?.map(Number) ?? []
    assert.equal(pids.length, 2)
    assert.deepEqual(await calls.cancel(id), { success: true, message: 'execution cancelled' })
    for (const pid of pids) assert.equal(isRunning(pid), false)
    assert.equal((await calls.record(id)).status, 'cancelled')
    assert.deepEqual(await calls.cancel(id), {
      success: false,
      message: 'execution not found or already completed',
    })
  })

  it('says how a process ended', async () => {
    await calls.script('end', 'case $1 in code) exit 7;; signal) kill -SEGV $$;; slow) echo begun; sleep 60;; esac', {
      timeout_seconds: 1,
    })
    const end = async (arg: string) => {
      const { output, error } = await calls.execute({ function_name: 'end', args: [arg] })
      return [error, output.toString()]
    }
    assert.deepEqual(await end('code'), ['exit code 7', ''])
    assert.deepEqual(await end('signal'), ['killed by SIGSEGV', ''])
    assert.deepEqual(await end('slow'), ['execution timed out after 1s', 'begun\n'])
  })

  it('gives slots back', async () => {
    await eventually('no task is active', async () => (await calls.status()).active_tasks === 0)
  })
})
