import assert from 'node:assert/strict'
import { cpus } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent, type TestAgentOptions } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'

/** What limits a node. */
export interface LimitedNode {
  readonly memoryMb: number
  /** Starts an agent within these limits. */
  readonly through: NonNullable<TestAgentOptions['through']>
}

/** Tests that an agent tells the limits of the cgroup it runs in as those of its node. */
export function describeLimitedNode(title: string, skip: string | false, limit: () => LimitedNode): void {
  describe(title, { skip }, () => {
    let agent: TestAgent
    let calls: Calls
    let limits: LimitedNode

    before(async () => {
      limits = limit()
      agent = await startTestAgent({ through: limits.through })
      calls = new Calls(agent.client)
    })
    after(() => agent?.stop())

    it('has the memory of its limit, and uses what runs within', async () => {
      const { memory_total_mb, memory_used_mb, memory_percent } = await calls.status()
      assert.equal(memory_total_mb, limits.memoryMb)
      // The agent itself, and none of the rest of the machine.
      assert.ok(memory_used_mb > 40 && memory_used_mb < limits.memoryMb * 0.9, `${memory_used_mb} MB`)
      assert.ok(Math.abs(memory_percent - (memory_used_mb / memory_total_mb) * 100) < 0.1, `${memory_percent} %`)
      // In the buffer of a program that cannot write it anywhere.
      await calls.script('big', 'dd if=/dev/zero bs=100000000 count=1 | sleep 60')
      const id = await calls.start('big')
      await eventually(
        'its memory is used',
        async () => (await calls.status()).memory_used_mb > memory_used_mb + 80,
        60,
      )
      await calls.cancel(id)
    })

    it('is busy when its share of the processor is used', async () => {
      await calls.script('burn', 'while :; do :; done')
      const id = await calls.start('burn')
      await eventually('it is busy', async () => (await calls.status()).cpu_percent > 60, 60)
      await calls.cancel(id)
      // Unless the rest of the machine is busy, of which the node is a part.
      let before = processorTimes()
      await eventually(
        'it is idle again',
        async () => {
          const { cpu_percent } = await calls.status()
          const now = processorTimes()
          const machine = (now.busy - before.busy) / (now.all - before.all)
          before = now
          return cpu_percent < 60 || machine > 0.5
        },
        60,
      )
    })
  })
}

/** Of all processors together since the machine's start, milliseconds. */
function processorTimes(): { busy: number; all: number } {
  const times = cpus().map(({ times }) => times)
  const all = times.flatMap((of) => Object.values(of)).reduce((sum, ms) => sum + ms, 0)
  return { busy: all - times.reduce((sum, { idle }) => sum + idle, 0), all }
}
