import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { answer } from '../../src/cli/connect.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { startTestAgent, type TestAgent } from '../support/agent.js'
import { Calls } from '../support/calls.js'
import { eventually } from '../support/eventually.js'

describe('HealthCheck and ReportNodeStatus', () => {
  let agent: TestAgent
  let calls: Calls
  let begun: number

  before(async () => {
    begun = performance.now()
    agent = await startTestAgent({ config: { agent_id: 'node 7/ü', max_tasks: 3 } })
    calls = new Calls(agent.client)
    await calls.script('sleep', 'exec sleep 60')
    await calls.script('burn', 'while :; do :; done')
  })
  after(() => agent.stop())

  const list = () =>
    answer<ListExecutionsResponse__Output>((options, done) => agent.operations.listExecutions({}, options, done))

  it('tell that it is healthy, and the version of its package', async () => {
    const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
    assert.deepEqual(await calls.health(), { healthy: true, version: manifest.version })
  })

  it('tell the id that is configured, letter for letter', async () => {
    assert.equal((await calls.status()).agent_id, 'node 7/ü')
  })

  it('tell the memory that the machine has, and how much of it is in use', async () => {
    const { memory_total_mb, memory_used_mb, memory_percent } = await calls.status()
    assert.equal(memory_total_mb, Math.round(totalmem() / 2 ** 20))
    assert.ok(memory_used_mb > 0 && memory_used_mb < memory_total_mb, `${memory_used_mb} MB`)
    assert.ok(Math.abs(memory_percent - (memory_used_mb / memory_total_mb) * 100) < 0.1, `${memory_percent} %`)
  })

  it('tell what /proc says is not available', { skip: process.platform !== 'linux' }, async () => {
    const [, kibibytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1')) ?? []
    const { memory_total_mb, memory_used_mb } = await calls.status()
    const used = memory_total_mb - Number(kibibytes) / 1024
    assert.ok(Math.abs(memory_used_mb - used) < 0.05 * memory_total_mb, `${memory_used_mb} MB instead of ${used}`)
  })

  it('tell how long the agent has been up', async () => {
    const { uptime_seconds } = await eventually('a second has passed', async () => {
      const status = await calls.status()
      return status.uptime_seconds > 0 ? status : undefined
    })
    assert.ok(uptime_seconds <= (performance.now() - begun) / 1000, `${uptime_seconds} s`)
  })

  it('tell the load of the processor, from 0 to 100', async () => {
    const id = await calls.start('burn')
    await eventually('half of a core is busy at least', async () => {
      const { cpu_percent } = await calls.status()
      assert.ok(cpu_percent >= 0 && cpu_percent <= 100, `${cpu_percent} %`)
      return cpu_percent > 50 / availableParallelism()
    })
    await calls.cancel(id)
  })

  it('tell how many executions there are, and may be', async () => {
    const ids = [await calls.start('sleep'), await calls.start('sleep')]
    const { active_tasks, max_tasks } = await calls.status()
    assert.deepEqual([active_tasks, max_tasks], [2, 3])
    for (const id of ids) await calls.cancel(id)
    assert.equal((await calls.status()).active_tasks, 0)
  })

  it('stand beside a list that tells what each execution uses, at the first look already', async () => {
    const ids = [await calls.start('burn'), await calls.start('sleep')]
    const [burning, sleeping] = await eventually('both are measured', async () => {
      const { executions } = await list()
      const found = ids.map((id) => executions.find(({ execution_id }) => execution_id === id)?.usage)
      return found.every((usage) => usage && usage.memory_bytes > 0) && (found[0]?.cpu_percent ?? 0) > 5
        ? found
        : undefined
    })
    assert.ok((burning?.cpu_percent ?? 0) <= 105, `${burning?.cpu_percent} %`)
    assert.ok((sleeping?.cpu_percent ?? 100) < 5, `${sleeping?.cpu_percent} %`)
    const { agent: own } = await list()
    assert.equal(own?.pid, agent.pid)
    assert.ok((own?.memory_bytes ?? 0) > 10 * 2 ** 20, `${own?.memory_bytes} bytes`)
    for (const id of ids) await calls.cancel(id)
  })
})
