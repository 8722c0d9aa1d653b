import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { it } from 'node:test'
import { launchersOf } from '../../harness/launchers.js'
import { describeAgent } from '../support/describe-agent.js'

const isRoot = process.getuid?.() === 0
const USUAL = getPriority()

describeAgent(
  'the main thread of the agent',
  { skip: !isRoot || process.platform !== 'linux', through: ['setsid'] },
  ({ agent, calls }) => {
    it('is served before its functions, which keep the usual priority', async () => {
      assert.equal(niceOf(agent.pid), USUAL - 10)
      for (const launcher of launchersOf(agent.pid)) assert.equal(niceOf(launcher), USUAL)
      await calls.script('nice', 'nice')
      assert.equal((await calls.execute({ function_name: 'nice' })).output.toString(), `${USUAL}\n`)
    })

    it('is in a session that gets more than each of theirs', {
      skip: !existsSync('/proc/self/autogroup'),
    }, async () => {
      const groupOf = (pid: number | string) => readFileSync(`/proc/${pid}/autogroup`, 'utf8').trim()
      assert.match(groupOf(agent.pid), /nice -10$/)
      await calls.script('group', 'cat /proc/self/autogroup')
      assert.match((await calls.execute({ function_name: 'group' })).output.toString(), /nice 0$/m)
    })
  },
)

/** Of a process's first thread (proc(5), /proc/PID/stat). */
function niceOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
}
