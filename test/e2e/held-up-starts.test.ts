import assert from 'node:assert/strict'
import { chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { launchersOf, noLauncher } from '../../harness/launchers.js'
import { childrenOf } from '../../harness/proc.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { helper, noCompiler } from '../native/launcher/builds.js'
import { describeAgent } from '../support/describe-agent.js'

const HELD = 30
/** Of a cancel, a start and an end, each some milliseconds. Those held up take 3.5 s each. */
const LIMIT_MS = 1_500

describeAgent(
  'starts that another function holds up',
  { skip: noLauncher ?? noCompiler, config: { workers: 1 } },
  ({ agent, calls }) => {
    before(async () => {
      const interpreter = join(makeTempDir('flux-interpreter-'), 'sh')
      copyFileSync('/bin/sh', interpreter)
      chmodSync(interpreter, 0o755)
      const archive = buildZip([{ name: 'main', contents: `#!${interpreter}\necho ran\n`, mode: PROGRAM }])
      const { success, message } = await calls.deploy('held', archive, {
        name: 'held',
        handler: 'main',
        timeout_seconds: 60,
      })
      assert.ok(success, message)
      await calls.script('holder', `exec ${helper('hold-lease')} ${interpreter}`)
      await calls.script('run', 'eval "$1"')
    })

    it('keep neither others from starting nor cancels from ending them, and end themselves', async () => {
      const holder = await calls.start('holder')
      await calls.printed(holder, 'held')
      const sleeper = await calls.start('run', ['echo ready; exec sleep 60'])
      await calls.printed(sleeper, 'ready')
      const held = await Promise.all(Array.from({ length: HELD }, () => calls.start('held')))
      const begun = performance.now()
      assert.equal((await calls.cancel(sleeper)).success, true)
      assert.equal((await calls.execute({ function_name: 'run', args: ['echo ran'] })).output.toString(), 'ran\n')
      const cancelled = held.splice(0, HELD / 2)
      for (const answer of await Promise.all(cancelled.map((id) => calls.cancel(id)))) {
        assert.deepEqual(answer, { success: true, message: 'execution cancelled' })
      }
      const took = performance.now() - begun
      assert.ok(took < LIMIT_MS, `${took} ms`)
      for (const id of cancelled) assert.equal((await calls.record(id)).status, 'cancelled')
      for (const id of held) {
        const { status, error } = await calls.ended(id)
        assert.equal(status, 'failed')
        assert.match(error ?? '', /ETIMEDOUT/)
      }
      assert.equal((await calls.status()).active_tasks, 1)
      await calls.cancel(holder)
      assert.equal((await calls.execute({ function_name: 'held' })).output.toString(), 'ran\n')
      await eventually('nothing is left', () => launchersOf(agent.pid).every((pid) => childrenOf(pid).length === 0))
    })
  },
)
