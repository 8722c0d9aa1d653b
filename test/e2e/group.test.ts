import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { describeAgent } from '../support/describe-agent.js'
import { awaitTold, TELL } from '../support/scripts.js'

/** What an escaped process sleeps; an execution that waited for it would be as slow. */
const LONG_SECONDS = 20

describeAgent("the end of an execution's leader", { skip: process.platform === 'win32' }, ({ calls }) => {
  before(async () => {
    await calls.script('run', 'eval "$1"')
  })

  /** Sync and async: the output is the same. */
  async function outputs(lines: string): Promise<string[]> {
    const begun = performance.now()
    const { error, output } = await calls.execute({ function_name: 'run', args: [lines] })
    assert.equal(error, '')
    const record = await calls.ended(await calls.start('run', [lines]))
    assert.equal(record.status, 'success')
    assert.ok(performance.now() - begun < LONG_SECONDS * 500, 'waited for what the leader has left')
    return [output.toString(), record.output ?? '']
  }

  it('ends the execution, and what it has left in its group', async () => {
    for (const output of await outputs('sleep 60 & echo $!')) assert.equal(isRunning(Number(output)), false)
  })

  it('ends what ignores every signal it can', async () => {
    const lines = '(trap "" TERM HUP INT; while :; do sleep 1; done) & echo $!; sleep 0.1'
    for (const output of await outputs(lines)) assert.equal(isRunning(Number(output)), false)
  })

  it('keeps all that was written just before', async () => {
    const lines = `sleep ${LONG_SECONDS} & head -c 61440 /dev/zero | tr "\\0" x; echo end`
    for (const output of await outputs(lines)) assert.equal(output, `${'x'.repeat(61_440)}end\n`)
  })

  it('keeps what its children wrote before it', async () => {
    const lines = `(echo child; ${TELL}; sleep 60) & ${awaitTold(1)}; echo leader`
    for (const output of await outputs(lines)) assert.equal(output, 'child\nleader\n')
  })

  it('is not held up by a process that has left the group with its output open', async () => {
    const lines = `setsid sh -c 'echo escaped; ${TELL}; exec sleep ${LONG_SECONDS}' & ${awaitTold(1)}; echo leader`
    for (const output of await outputs(lines)) assert.equal(output, 'escaped\nleader\n')
  })

  it('does not mix the output of a process that has left the group into the next execution', async () => {
    await calls.execute({ function_name: 'run', args: ['setsid sh -c "sleep 0.3; echo ghost" & sleep 0.1'] })
    const { output } = await calls.execute({ function_name: 'run', args: ['sleep 0.6; echo own'] })
    assert.equal(output.toString(), 'own\n')
  })

  it('leaves no process, whatever it has started', async () => {
    const lines = `for i in 1 2 3 4 5; do (sleep 60 & echo $!; ${TELL}; wait) & echo $!; done; ${awaitTold(5)}`
    const { output } = await calls.execute({ function_name: 'run', args: [lines] })
    const pids = output.toString().trim().split('\n').map(Number)
    assert.equal(pids.length, 10)
    await eventually('all are dead', () => !pids.some(isRunning), 1)
  })
})
