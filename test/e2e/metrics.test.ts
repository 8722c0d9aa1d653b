import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { METRICS } from '../../src/main/metrics/table.js'
import { describeAgent } from '../support/describe-agent.js'
import { METRICS_ON, metricsUrl, scrape } from '../support/metrics.js'

describeAgent('the metrics of an agent', { config: { ...METRICS_ON, max_tasks: 2 } }, ({ agent, calls }) => {
  /** What a metric has become, by its name and labels without `flux_agent_`. */
  const value = async (name: string) => (await scrape(agent)).get(`flux_agent_${name}`)
  const reaches = (name: string, expected: number) =>
    eventually(`${name} is ${expected}`, async () => (await value(name)) === expected)

  it('are all there, by the names of the table', async () => {
    const text = await (await fetch(`${metricsUrl(agent)}metrics`)).text()
    for (const { name, type } of METRICS) assert.match(text, new RegExp(`^# TYPE ${name} ${type}$`, 'm'))
  })

  it('tell how executions end, by function', async () => {
    await calls.script('ends', 'case $1 in ok) printf 12345;; code) exit 3;; *) sleep 60;; esac', {
      timeout_seconds: 1,
    })
    await calls.execute({ function_name: 'ends', args: ['ok'] })
    await calls.execute({ function_name: 'ends', args: ['code'] })
    await calls.execute({ function_name: 'ends', args: ['late'] })
    const id = await calls.start('ends', ['late'])
    await calls.cancel(id)
    await calls.execute({ function_name: 'nobody' })
    for (const outcome of ['success', 'failed', 'timeout', 'cancelled'])
      await reaches(`executions_total{function="ends",outcome="${outcome}"}`, 1)
    await reaches('execution_duration_seconds_count{function="ends"}', 4)
    await reaches('execution_kill_seconds_count', 1)
    await reaches('executions_refused_total{reason="function_unknown"}', 1)
    await reaches('output_bytes_total', 5)
    assert.equal(await value('execution_wait_seconds_count'), 4)
    assert.equal(await value('deploys_total{outcome="done"}'), 1)
  })

  it('tell which step of a start has failed', async () => {
    await calls.script('renamed', 'true')
    await calls.register({ name: 'renamed', handler: 'gone' })
    await calls.execute({ function_name: 'renamed' })
    await reaches('executions_total{function="renamed",outcome="start_failed"}', 1)
    const steps = [...(await scrape(agent)).keys()].filter((name) => name.includes('start_failures_total'))
    assert.equal(steps.length, 1)
    assert.match(steps[0] ?? '', /step="(exec|spawn)"/)
  })

  it('tell what runs and waits', async () => {
    await calls.script('long', 'sleep 60', { max_concurrency: 1, max_concurrency_behavior: 'wait' })
    const ids = [await calls.start('long'), await calls.start('long')]
    await reaches('executions_running', 1)
    await reaches('executions_queued', 1)
    assert.equal(await value('execution_slots'), 2)
    for (const id of ids.reverse()) await calls.cancel(id)
    await reaches('executions_running', 0)
  })
})

describeAgent('the metrics of an agent whose store goes away', { store: 'redis', config: METRICS_ON }, (suite) => {
  const { agent, calls, redis } = suite
  const value = async (name: string) => (await scrape(agent)).get(`flux_agent_${name}`) ?? Number.NaN

  it('tell for how long, and what waits for it where', async () => {
    await calls.script('prints', 'head -c 100000 /dev/zero')
    await calls.ended(await calls.start('prints'))
    await eventually('writes are counted', async () => (await value('store_writes_total')) >= 3)
    assert.ok((await value('store_write_duration_seconds_count')) >= 2)
    assert.equal(await value('store_away_seconds'), 0)
    await redis.halt(true)
    const id = await calls.start('prints')
    await eventually('it is away', async () => (await value('store_away_seconds')) > 0)
    await eventually('all of it is on disk', async () => (await value('store_backlog_bytes{place="disk"}')) > 100_000)
    await redis.restart()
    await calls.ended(id)
    await eventually('nothing waits', async () => {
      const now = await scrape(agent)
      const names = ['store_away_seconds', 'store_backlog_bytes{place="disk"}', 'store_backlog_bytes{place="memory"}']
      return names.every((name) => now.get(`flux_agent_${name}`) === 0)
    })
  })
})
