import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'

const CALLS = 100

/** Loaded into the agent: adds a line to the file MARKED for each time that the main thread's whole heap is marked. */
const COUNTER = `
const { appendFileSync } = require('node:fs')
const { PerformanceObserver, constants } = require('node:perf_hooks')
const marked = ({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR
const tell = (list) => list.getEntries().filter(marked).forEach(() => appendFileSync(process.env.MARKED, 'marked\\n'))
if (require('node:worker_threads').isMainThread) new PerformanceObserver(tell).observe({ type: 'gc' })
`

it('V8 does not mark the whole heap for every few MB of output', async (t) => {
  const dir = makeTempDir('flux-dead-buffers-')
  const [counter, file] = [join(dir, 'counter.cjs'), join(dir, 'marked')]
  writeFileSync(counter, COUNTER)
  writeFileSync(file, '')
  const agent = await startTestAgent({ env: { NODE_OPTIONS: `--require "${counter}"`, MARKED: file } })
  t.after(() => agent.stop())
  const calls = new Calls(agent.client)
  await calls.script('large', 'head -c 1000000 /dev/zero')
  const marked = () => readFileSync(file, 'latin1').split('\n').length - 1
  const before = marked()
  for (let i = 0; i < CALLS; i++) {
    const { output, error } = await calls.execute({ function_name: 'large' })
    assert.deepEqual([output.length, error], [1_000_000, ''])
  }
  const times = marked() - before
  t.diagnostic(`marked ${times} times`)
  assert.ok(times <= CALLS / 20, `marked ${times} times in ${CALLS} calls`)
})
