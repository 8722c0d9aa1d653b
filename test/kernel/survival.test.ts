import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { followed } from '../support/live-calls.js'
import { executionsOf, groupIn, groupsBelow, makeGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

describe('executions that outlive their agent', { skip: notInGuest }, () => {
  const places = [
    { name: 'beside other agents', find: () => undefined },
    {
      name: 'in a cgroup of its own',
      find: () => {
        // The first agent leaves it for a leaf, and nothing can be started there any more.
        const service = makeGroup('flux-test-survival')
        return { first: within(service), second: within(`${service}/agent`) }
      },
    },
  ]
  for (const { name, find } of places) {
    it(`keep their limits and their cgroups, and are told out of memory, ${name}`, async () => {
      const place = find()
      const config = { isolation: 'required' }
      const first = await startTestAgent({ config, ...(place && { through: place.first }) })
      const calls = new Calls(first.client)
      const go = join(first.dir, 'go')
      await calls.script('grow', growing(go), { memory_mb: 64, cpu_millicores: 900 })
      const ids = [await calls.start('grow', ['40', '200']), await calls.start('grow', ['20', '15'])] as const
      const pids: number[] = []
      for (const id of ids) pids.push(Number((await calls.printed(id, '\n')).output))
      const groups = pids.map(groupOf)
      await first.kill()

      const agent = await startTestAgent({ config, dir: first.dir, ...(place && { through: place.second }) })
      assert.deepEqual(pids.map(isRunning), [true, true])
      assert.deepEqual(pids.map(groupOf), groups)
      writeFileSync(go, '')
      const [, near] = await followed(agent.operations, ids[0])
      assert.deepEqual([near.status, near.error, near.oom_killed], ['failed', 'out of memory: exceeded 64 MB', true])
      const [output, modest] = await followed(agent.operations, ids[1])
      assert.equal(modest.status, 'success')
      assert.match(output.toString(), /^\d+\nsurvived\n$/)
      assert.ok((modest.max_rss_kb ?? 0) > 35_000)
      await eventually('only cgroups for what comes are left', () => groupsBelow(executionsOf(agent)).length <= 2)
      await agent.stop()
    })
  }
})

/** Holds so many MiB, and so many more once a file is there. */
function growing(file: string): string {
  return `echo $$
exec perl -e '$held = "x" x ($ARGV[1] << 20); select(undef, undef, undef, 0.1) while !-e $ARGV[0]; $held .= "x" x ($ARGV[2] << 20); print "survived\n"' ${file} "$1" "$2"`
}

function groupOf(pid: number): string {
  return groupIn(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))
}
