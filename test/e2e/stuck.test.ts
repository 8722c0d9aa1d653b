import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'
import { describeAgent } from '../support/describe-agent.js'
import { noPython } from '../support/python-grpc.js'

const FREEZE = fileURLToPath(new URL('../../../test/support/freeze_thread.py', import.meta.url))

/** Besides the main one, the thread that has used the most processor time: the worker, once it has worked. */
function busiestThread(pid: number): string {
  const tasks = `/proc/${pid}/task`
  const used = readdirSync(tasks).map((tid): [string, number] => {
    const fields = readFileSync(join(tasks, tid, 'stat'), 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
    return [tid, Number(fields[11]) + Number(fields[12])]
  })
  const others = used.filter(([tid]) => Number(tid) !== pid).sort(([, a], [, b]) => b - a)
  return others[0]?.[0] ?? assert.fail('there is no other thread')
}

describeAgent('an agent whose only worker stands still', { skip: noPython }, ({ agent, calls }) => {
  it('says so within a minute, and that it goes on', { timeout: 120_000 }, async () => {
    await calls.script('short', 'echo')
    for (let i = 0; i < 200; i++) await calls.execute({ function_name: 'short' })
    const freezing = spawn('python3', [FREEZE, busiestThread(agent.pid)], { stdio: ['ignore', 'pipe', 'inherit'] })
    onExit(() => freezing.kill('SIGKILL'))
    await once(freezing.stdout, 'data')
    const state = async () => (await calls.health()).state
    await eventually('it is stuck', async () => (await state()) === 'stuck', 60)
    const { healthy, problems } = await calls.health()
    assert.deepEqual([healthy, problems], [false, ['every worker thread stands still']])
    freezing.kill('SIGTERM')
    await eventually('it serves again', async () => (await state()) === 'serving')
    assert.equal((await calls.execute({ function_name: 'short' })).error, '')
  })
})
