import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AgentState } from '../../../src/host/agent-state.js'
import { ExecutionObserver } from '../../../src/main/executions/observer.js'
import { Counts } from '../../../src/main/metrics/counts.js'
import { NAMES_MAX } from '../../../src/main/metrics/execution-counts.js'
import { Exposition } from '../../../src/main/metrics/exposition.js'
import type { Outcome } from '../../../src/threads/messages.js'
import { monotonicMs } from '../../../src/time/monotonic.js'
import { ended } from '../../store/records.js'

/** The lines of the metrics of an agent whose numbers are these. */
async function linesOf(counts: Counts, agentId = 'agent'): Promise<string[]> {
  const known = { certificates: () => undefined, executionsUse: async () => undefined }
  const exposition = new Exposition({ agentId, state: new AgentState(), counts, ...known })
  return (await exposition.text()).split('\n')
}

function run(counts: Counts, functionName: string, outcome: Partial<Outcome> = {}): void {
  const watch = new ExecutionObserver(functionName, counts.executions, undefined, monotonicMs())
  watch.hasSlot()
  watch.hasStarted(monotonicMs())
  const record = { ...ended('id'), duration_ms: 300, cpu_ms: 20 }
  watch.hasEnded({ kind: 'success', record, output: new Uint8Array(), ...outcome })
}

describe('what Prometheus reads', () => {
  it('names so many functions and no more, and counts all', async () => {
    const counts = new Counts()
    for (let i = 0; i < NAMES_MAX + 50; i++) run(counts, `function-${i}`)
    const lines = await linesOf(counts)
    const ended = lines.filter((line) => /^flux_agent_executions_total\{.*outcome="success"/.test(line))
    assert.equal(ended.length, NAMES_MAX + 1)
    assert.ok(ended.includes('flux_agent_executions_total{function="other",outcome="success"} 50'))
    // However many lines a metric has, its header comes once.
    assert.equal(lines.filter((line) => line === '# TYPE flux_agent_execution_duration_seconds histogram').length, 1)
    assert.equal(lines.filter((line) => /_bucket\{.*function="function-7"/.test(line)).length, 19)
  })

  it('has buckets that count up to all, with their sum', async () => {
    const counts = new Counts()
    run(counts, 'f')
    run(counts, 'f')
    const lines = (await linesOf(counts)).filter((line) => line.includes('execution_duration_seconds'))
    const value = (rest: string) =>
      lines
        .find((line) => line.includes(rest))
        ?.split(' ')
        .at(-1)
    assert.equal(value('_bucket{le="0.25",function="f"}'), '0')
    assert.equal(value('_bucket{le="0.5",function="f"}'), '2')
    assert.equal(value('_bucket{le="36000",function="f"}'), '2')
    assert.equal(value('_bucket{le="+Inf",function="f"}'), '2')
    assert.equal(value('_count{function="f"}'), '2')
    assert.equal(value('_sum{function="f"}'), '0.6')
  })

  it('escapes what would end a label', async () => {
    const [line] = (await linesOf(new Counts(), 'a"\\b')).filter((each) => each.startsWith('flux_agent_build_info{'))
    assert.ok(line?.includes('agent_id="a\\"\\\\b"'), line)
  })

  it('counts a start that failed by its step, and no duration', async () => {
    const counts = new Counts()
    run(counts, 'f', { kind: 'start_failed', failedStep: 'cgroup' })
    const lines = await linesOf(counts)
    assert.ok(lines.includes('flux_agent_execution_start_failures_total{step="cgroup"} 1'))
    assert.ok(lines.includes('flux_agent_executions_total{function="f",outcome="start_failed"} 1'))
    assert.ok(lines.includes('flux_agent_execution_duration_seconds_count{function="f"} 0'))
  })
})
