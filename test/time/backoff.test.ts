import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Backoff } from '../../src/time/backoff.js'

it('each further attempt waits twice as long, up to a longest, until one succeeds', () => {
  const backoff = new Backoff(100, 1_000)
  const waits = () => Array.from({ length: 5 }, () => backoff.failed())
  assert.deepEqual(waits(), [100, 200, 400, 800, 1_000])
  backoff.succeeded()
  assert.deepEqual(waits(), [100, 200, 400, 800, 1_000])
})
