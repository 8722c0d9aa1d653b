import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { cpuTicks, ownMemoryMiB } from '../../harness/proc.js'
import { answer } from '../../src/cli/connection.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { type AgentSuiteOptions, describeAgent } from '../support/describe-agent.js'

const onLinux = { skip: process.platform !== 'linux' }

let begun: number
const options: AgentSuiteOptions<'embedded'> = {
  config: { agent_id: 'node 7/ü', max_tasks: 3 },
  beforeStart: () => {
    begun = performance.now()
  },
}

describeAgent('HealthCheck and ReportNodeStatus', options, ({ agent, calls }) => {
  before(async () => {
    await calls.script('sleep', 'echo $$; exec sleep 60')
    await calls.script('burn', 'echo $$; while :; do :; done')
  })

  it('tell that it is healthy, and the version of its package', async () => {
    const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
    assert.deepEqual(await calls.health(), {
      healthy: true,
      version: manifest.version,
      problems: [],
      state: 'serving',
      drained_since: '',
    })
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

  it('tell what /proc says is not available', onLinux, async () => {
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

  it('stand beside a list that tells at the first look what each execution uses', onLinux, async () => {
    const busy = await calls.start('burn')
    const pid = Number((await calls.printed(busy, '\n')).output)
    const idle = await calls.start('sleep')
    await eventually('it has had a fifth of a second of processor time', () => cpuTicks(pid) >= 20)
    await calls.printed(idle, '\n')
    const { executions, agent: own } = await answer<ListExecutionsResponse__Output>((options, done) =>
      agent.operations.listExecutions({}, options, done),
    )
    const usage = (id: string) => executions.find(({ execution_id }) => execution_id === id)?.usage
    assert.equal(usage(busy)?.pid, pid)
    assert.ok(
      (usage(busy)?.cpu_percent ?? 0) > 2 && (usage(busy)?.cpu_percent ?? 0) < 110,
      `${usage(busy)?.cpu_percent} %`,
    )
    assert.ok((usage(idle)?.cpu_percent ?? 100) < 20, `${usage(idle)?.cpu_percent} %`)
    assert.equal(own?.pid, agent.pid)
    const memory = ownMemoryMiB(agent.pid)
    assert.ok((own?.memory_bytes ?? 0) / 2 ** 20 > memory / 2, `${own?.memory_bytes} bytes, ${memory} MiB its own`)
    for (const id of [busy, idle]) await calls.cancel(id)
  })
})
