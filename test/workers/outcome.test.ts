import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EndCause } from '../../src/workers/messages.js'
import { endedRecord, type ProcessResult } from '../../src/workers/outcome.js'
import { running } from '../store/records.js'

const exited = (code: number): ProcessResult => ({ kind: 'exited', code, durationMs: 12.6 })
const killed: ProcessResult = { kind: 'killed', signal: 'SIGKILL', durationMs: 12.6 }

function verdict(result: ProcessResult, cause?: EndCause) {
  const { status, error } = endedRecord(running('x'), result, cause, 3, 0)
  return [status, error]
}

describe('endedRecord', () => {
  it('tells a process that ended by itself by its code or signal', () => {
    assert.deepEqual(verdict(exited(0)), ['success', undefined])
    assert.deepEqual(verdict(exited(7)), ['failed', 'exit code 7'])
    assert.deepEqual(verdict({ ...killed, signal: 'SIGSEGV' }), ['failed', 'killed by SIGSEGV'])
  })

  it('lets the cause decide, however the process ended', () => {
    for (const result of [exited(0), exited(7), killed]) {
      assert.deepEqual(verdict(result, 'cancelled'), ['cancelled', 'execution cancelled'])
      assert.deepEqual(verdict(result, 'hangup'), ['cancelled', 'execution cancelled'])
      assert.deepEqual(verdict(result, 'timeout'), ['failed', 'execution timed out after 3s'])
      assert.deepEqual(verdict(result, 'stopped'), ['failed', 'agent stopped'])
    }
  })

  it('tells why a process was not started', () => {
    assert.deepEqual(verdict({ kind: 'not started', error: 'no such file', durationMs: 0 }), ['failed', 'no such file'])
  })

  it('ends the record that was begun and keeps what that said', () => {
    const { status_at, ...record } = endedRecord(running('x'), exited(7), undefined, 0, 99)
    assert.deepEqual(record, {
      ...running('x'),
      status: 'failed',
      error: 'exit code 7',
      exit_code: 7,
      duration_ms: 13,
      output_bytes: 99,
    })
    assert.match(status_at ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  it('leaves out a duration of 0, an empty error and what did not happen', () => {
    const record = endedRecord(running('x'), { kind: 'exited', code: 0, durationMs: 0.2 }, undefined, 0, 0)
    assert.deepEqual(
      ['duration_ms', 'error', 'signal'].filter((key) => key in record),
      [],
    )
  })

  it('tells the signal', () => {
    assert.equal(endedRecord(running('x'), killed, 'cancelled', 0, 0).signal, 'SIGKILL')
  })
})
