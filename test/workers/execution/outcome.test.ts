import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EndCause, OutOfMemory, ProcessEnd } from '../../../src/os/platform.js'
import { endedRecord } from '../../../src/workers/execution/outcome.js'
import type { RoomBounds } from '../../../src/workers/execution/used-up.js'
import { running } from '../../store/records.js'

const exited = (code: number) => ({ kind: 'exited', code, durationMs: 12.6 }) as const
const killed: ProcessEnd = { kind: 'killed', signal: 'SIGKILL', durationMs: 12.6 }

const BOUNDS = { timeoutSeconds: 3, limits: { memoryMb: 64, cpuMillicores: 0 } }

function verdict(result: ProcessEnd, cause?: EndCause) {
  const { status, error } = endedRecord(running('x'), result, cause, BOUNDS, 0)
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
    assert.deepEqual(
      verdict({ kind: 'not started', step: 'exec', code: 'ENOENT', error: 'no such file', durationMs: 0 }),
      ['failed', 'no such file'],
    )
  })

  it('ends the record that was begun and keeps what that said', () => {
    const { status_at, ...record } = endedRecord(running('x'), exited(7), undefined, BOUNDS, 99)
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
    const record = endedRecord(running('x'), { kind: 'exited', code: 0, durationMs: 0.2 }, undefined, BOUNDS, 0)
    assert.deepEqual(
      ['duration_ms', 'error', 'signal'].filter((key) => key in record),
      [],
    )
  })

  it('tells who ran out of memory, and says nothing of memory where nobody did', () => {
    const verdictOf = (outOfMemory: OutOfMemory) => verdict({ ...killed, outOfMemory })
    assert.deepEqual(verdictOf('own limit'), ['failed', 'out of memory: exceeded 64 MB'])
    assert.match(
      String(verdictOf('limit above')[1]),
      /^out of memory: killed by a limit on a cgroup above, such as that for all executions together/,
    )
    assert.match(String(verdictOf('node')[1]), /^out of memory: killed because the node ran out/)
    assert.deepEqual(verdict(killed), ['failed', 'killed by SIGKILL'])
    assert.deepEqual(verdict(exited(137)), ['failed', 'exit code 137'])
    assert.deepEqual(verdict({ ...killed, outOfMemory: 'own limit' }, 'cancelled'), [
      'cancelled',
      'execution cancelled',
    ])
    assert.equal(endedRecord(running('x'), { ...killed, outOfMemory: 'node' }, undefined, BOUNDS, 0).oom_killed, true)
    assert.equal('oom_killed' in endedRecord(running('x'), killed, undefined, BOUNDS, 0), false)
  })

  it('blames memory only for a leader that was killed, and tells what was killed for it all the same', () => {
    const oom = { outOfMemory: 'own limit', oomKills: 2 } as const
    assert.deepEqual(verdict({ ...exited(0), ...oom }), ['success', undefined])
    assert.deepEqual(verdict({ ...exited(3), ...oom }), ['failed', 'exit code 3'])
    assert.deepEqual(verdict({ ...killed, signal: 'SIGSEGV', ...oom }), ['failed', 'killed by SIGSEGV'])
    assert.deepEqual(verdict({ ...killed, ...oom }), ['failed', 'out of memory: exceeded 64 MB'])
    const { oom_killed, oom_kills } = endedRecord(running('x'), { ...exited(0), ...oom }, undefined, BOUNDS, 0)
    assert.deepEqual([oom_killed, oom_kills], [true, 2])
  })

  it('tells of which room its function has used up what it may have, behind how it ended', () => {
    const room = { tmpBytes: 2 ** 30, diskBytes: 1536 * 2 ** 20 }
    const errorOf = (result: ProcessEnd, bounds: RoomBounds | undefined = room, cause?: EndCause, reason?: string) =>
      endedRecord(running('x'), result, cause, BOUNDS, 0, { room: bounds, reason }).error
    const { function_name } = running('x')
    const tmp = `function ${function_name} has used up its temporary files: functions.tmp_bytes is`
    const disk = `function ${function_name} has used up what it may keep on disk:`
    assert.equal(errorOf({ ...exited(1), usedUp: ['tmp'] }), `exit code 1; ${tmp} 1GiB`)
    assert.equal(errorOf({ ...exited(1), usedUp: ['disk'] }), `exit code 1; ${disk} functions.disk_bytes is 1536MiB`)
    assert.equal(
      errorOf({ ...exited(2), usedUp: ['tmp', 'disk'] }),
      `exit code 2; ${tmp} 1GiB; ${disk} functions.disk_bytes is 1536MiB`,
    )
    assert.equal(
      errorOf({ ...killed, signal: 'SIGBUS', usedUp: ['tmp'] }, { ...room, tmpBytes: 1_000_001 }, undefined, 'cut off'),
      `killed by SIGBUS: cut off; ${tmp} 1000001`,
    )
    const unbounded = { ...room, diskBytes: 0 }
    assert.equal(
      errorOf({ ...exited(1), usedUp: ['disk'] }, unbounded),
      `exit code 1; ${disk} an earlier functions.disk_bytes still bounds it`,
    )
    assert.equal(errorOf({ ...exited(1), usedUp: ['tmp'] }, room, 'timeout'), 'execution timed out after 3s')
    assert.equal(errorOf(exited(1)), 'exit code 1')
    assert.equal(errorOf(exited(0)), undefined)
  })

  it('tells what survives, also of what was never started', () => {
    const survivors = { count: 17, pids: [31, 32] }
    const results: ProcessEnd[] = [
      { ...killed, survivors },
      { kind: 'never started', durationMs: 0, survivors },
      { kind: 'not started', step: 'exec', code: 'ETIMEDOUT', error: 'no', durationMs: 0, survivors },
    ]
    for (const result of results) {
      const record = endedRecord(running('x'), result, 'cancelled', BOUNDS, 0)
      assert.deepEqual([record.survivors, record.survivor_pids], [17, [31, 32]])
    }
    assert.equal('survivors' in endedRecord(running('x'), killed, 'cancelled', BOUNDS, 0), false)
  })

  it('tells what was used, where that is known', () => {
    const use = { cpuMs: 12, maxRssKb: 3_400 }
    const { cpu_ms, max_rss_kb } = endedRecord(running('x'), { ...exited(0), use }, undefined, BOUNDS, 0)
    assert.deepEqual([cpu_ms, max_rss_kb], [12, 3_400])
    assert.equal('cpu_ms' in endedRecord(running('x'), exited(0), undefined, BOUNDS, 0), false)
  })

  it('tells an execution that was lost with what supervised it', () => {
    const lost: ProcessEnd = { kind: 'lost', error: 'the launcher has died (SIGKILL)', durationMs: 1 }
    assert.deepEqual(verdict(lost), ['failed', 'the launcher has died (SIGKILL)'])
  })

  it('tells the signal', () => {
    assert.equal(endedRecord(running('x'), killed, 'cancelled', BOUNDS, 0).signal, 'SIGKILL')
  })
})
