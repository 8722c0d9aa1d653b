import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ExecutionObserver } from '../../../src/main/executions/observer.js'
import { Counts } from '../../../src/main/metrics/counts.js'
import { quantileOf, Recent } from '../../../src/main/metrics/recent.js'
import { monotonicMs } from '../../../src/time/monotonic.js'
import { ended } from '../../store/records.js'

describe('the last quarter of an hour', () => {
  it('has what is new since the moment before, and a gap where nothing is', () => {
    const counts = new Counts()
    const recent = new Recent(counts, () => ({ active: 2, waiting: 1 }))
    const end = (kind: 'success' | 'failed') => {
      const record = { ...ended('id'), duration_ms: 300 }
      const observer = new ExecutionObserver('f', counts.executions, undefined, monotonicMs())
      observer.hasEnded({ kind, record, output: new Uint8Array() })
    }
    end('success')
    end('failed')
    recent.look()
    recent.look()
    const [first, second] = recent.list()
    assert.ok(first && second)
    assert.ok(first.endedPerSecond > 0 && first.failedPerSecond === first.endedPerSecond / 2)
    assert.ok(first.durationP50 && first.durationP50 > 0.25 && first.durationP50 <= 0.5)
    assert.deepEqual([second.endedPerSecond, second.durationP50, second.running, second.waiting], [0, undefined, 2, 1])
  })

  it('forgets what is older', () => {
    const recent = new Recent(new Counts(), () => undefined)
    for (let i = 0; i < 200; i++) recent.look()
    assert.equal(recent.list().length, 180)
  })

  it('estimates quantiles as Prometheus does', () => {
    const bounds = [1, 2, 4]
    assert.equal(quantileOf(new Float64Array([0, 0, 0, 0]), bounds, 0.5), undefined)
    assert.equal(quantileOf(new Float64Array([0, 4, 0, 0]), bounds, 0.5), 1.5)
    assert.equal(quantileOf(new Float64Array([2, 0, 2, 0]), bounds, 0.75), 3)
    assert.equal(quantileOf(new Float64Array([0, 0, 0, 3]), bounds, 0.5), 4)
  })
})
