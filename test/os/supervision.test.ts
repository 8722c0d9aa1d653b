import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EndCause, ProcessOutcome } from '../../src/os/platform.js'
import { Supervision } from '../../src/os/supervision.js'

const WINDOW_BYTES = 262_144
const EXITED: ProcessOutcome = { kind: 'exited', code: 0 }

describe('Supervision', () => {
  let done: string[]

  beforeEach(() => {
    done = []
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(() => mock.timers.reset())

  const supervise = (timeoutMs = 0) =>
    new Supervision(timeoutMs, {
      kill: () => done.push('kill'),
      pauseOutput: () => done.push('pause'),
      resumeOutput: () => done.push('resume'),
    })
  const pass = async (ms: number) => {
    mock.timers.tick(ms)
    // LongTimer acts a turn later.
    await nextTurn()
  }

  describe('timeout', () => {
    it('kills so long after the process runs, and is the cause', async () => {
      const supervision = supervise(1000)
      await pass(5000)
      supervision.started()
      await pass(999)
      assert.deepEqual(done, [])
      await pass(1)
      assert.deepEqual(done, ['kill'])
      assert.equal(supervision.ended(EXITED).cause, 'timeout')
    })

    it('does not come where there is none', async () => {
      const supervision = supervise(0)
      supervision.started()
      await pass(10 ** 9)
      assert.deepEqual(done, [])
    })

    it('does not come after the end', async () => {
      const supervision = supervise(1000)
      supervision.started()
      await pass(999)
      assert.equal(supervision.ended(EXITED).cause, undefined)
      await pass(1000)
      assert.deepEqual(done, [])
    })
  })

  describe('cause', () => {
    for (const cause of ['cancelled', 'hangup', 'stopped', 'timeout'] as const satisfies EndCause[]) {
      it(`comes back with the end: ${cause}`, () => {
        const supervision = supervise()
        supervision.started()
        supervision.kill(cause)
        assert.deepEqual(done, ['kill'])
        const end = supervision.ended({ kind: 'killed', signal: 'SIGKILL' })
        assert.deepEqual({ ...end, durationMs: 0 }, { kind: 'killed', signal: 'SIGKILL', cause, durationMs: 0 })
      })
    }

    it('is the first one, though every kill kills', async () => {
      const supervision = supervise(1000)
      supervision.started()
      supervision.kill('cancelled')
      await pass(1000)
      supervision.kill('stopped')
      assert.deepEqual(done, ['kill', 'kill', 'kill'])
      assert.equal(supervision.ended(EXITED).cause, 'cancelled')
    })

    it('is none where the kill comes after the end', () => {
      const supervision = supervise()
      supervision.started()
      const end = supervision.ended(EXITED)
      supervision.kill('cancelled')
      assert.deepEqual(done, [])
      assert.equal('cause' in end, false)
    })

    it('comes back from a process that never ran, which took no time', () => {
      for (const outcome of [
        { kind: 'never started' },
        { kind: 'not started', step: 'exec', code: 'ENOENT', error: 'cannot start' },
      ] as const) {
        const supervision = supervise()
        supervision.kill('cancelled')
        assert.deepEqual(supervision.ended(outcome), { ...outcome, cause: 'cancelled', durationMs: 0 })
      }
    })
  })

  describe('window', () => {
    it('pauses the output once it is full, and resumes it once there is room', () => {
      const supervision = supervise()
      supervision.received(WINDOW_BYTES - 1)
      assert.deepEqual(done, [])
      supervision.received(1)
      assert.deepEqual(done.splice(0), ['pause'])
      // What was under way when it was paused.
      supervision.received(10)
      supervision.release(10)
      assert.deepEqual(done.splice(0), ['pause'])
      supervision.release(1)
      assert.deepEqual(done, ['resume'])
      supervision.release(WINDOW_BYTES - 1)
      assert.deepEqual(done, ['resume'])
    })

    it('pauses never where what comes is released at once', () => {
      const supervision = supervise()
      for (let i = 0; i < 100; i++) {
        supervision.received(65_536)
        supervision.release(65_536)
      }
      assert.deepEqual(done, [])
    })

    it('resumes nothing after the end', () => {
      const supervision = supervise()
      supervision.received(WINDOW_BYTES)
      supervision.ended(EXITED)
      supervision.release(WINDOW_BYTES)
      assert.deepEqual(done, ['pause'])
    })
  })
})
