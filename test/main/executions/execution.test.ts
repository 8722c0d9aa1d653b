import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Execution } from '../../../src/main/executions/execution.js'
import { type FromExecution, ID_TAKEN, type Outcome, type ToExecution } from '../../../src/threads/messages.js'
import { ended } from '../../store/records.js'

const OUTCOME: Outcome = { kind: 'success', record: ended('id'), output: new Uint8Array() }
const FAILED: Outcome = { kind: 'failed', record: { ...ended('id'), status: 'failed' }, output: new Uint8Array() }

describe("the main thread's end of an execution", () => {
  const told: ToExecution[] = []
  const owned: string[] = []
  const owner = {
    ended: () => owned.push('ended'),
    settled: () => owned.push('settled'),
    failed: () => owned.push('failed'),
  }
  let execution: Execution

  beforeEach(() => {
    told.length = 0
    owned.length = 0
    execution = new Execution('id', 'hello', true, owner)
    execution.supervisedBy({ send: (message) => told.push(message) })
  })

  const say = (message: FromExecution) => execution.receive(message)

  it('is over with its outcome', async () => {
    say({ kind: 'ended', outcome: OUTCOME })
    assert.deepEqual(await execution.ended, { kind: 'ended', outcome: OUTCOME })
    assert.equal(execution.hasEnded, true)
  })

  it('tells its owner at once of its end, and that nothing is left to do', () => {
    say({ kind: 'ended', outcome: OUTCOME })
    assert.deepEqual(owned, ['ended'])
    execution.settled()
    assert.deepEqual(owned, ['ended', 'settled'])
  })

  it('asks for its end and resolves once it is over, with what won', async () => {
    const end = execution.kill('cancelled')
    assert.deepEqual(told, [{ kind: 'kill', cause: 'cancelled' }])
    say({ kind: 'ended', outcome: { ...OUTCOME, cause: 'timeout' } })
    assert.equal((await end)?.cause, 'timeout')
  })

  it('is cancelled once, and not where something else won', async () => {
    const [first, second] = [execution.cancel(), execution.cancel()]
    assert.deepEqual(told, [{ kind: 'kill', cause: 'cancelled' }])
    assert.equal(await second, undefined)
    say({ kind: 'ended', outcome: { ...OUTCOME, cause: 'timeout' } })
    assert.equal(await first, undefined)
    assert.equal(await execution.cancel(), undefined)
  })

  it('is over without an outcome where it was refused, though its thread dies then', async () => {
    say(ID_TAKEN)
    assert.deepEqual(await execution.accepted, ID_TAKEN)
    execution.abandon(() => FAILED)
    await execution.ended
    assert.equal(execution.outcome, undefined)
  })

  it('fails where its thread dies before the end', async () => {
    say({ kind: 'started', pid: 7, at: 0 })
    assert.equal(execution.pid, 7)
    execution.abandon(() => FAILED)
    assert.equal(execution.pid, undefined)
    assert.deepEqual(await execution.ended, { kind: 'ended', outcome: FAILED })
  })

  it('keeps what its thread said last where that dies after the end', async () => {
    say({ kind: 'started', pid: 7, at: 0 })
    say({ kind: 'ended', outcome: OUTCOME })
    execution.abandon(() => FAILED)
    assert.equal(execution.pid, undefined)
    assert.deepEqual(await execution.ended, { kind: 'ended', outcome: OUTCOME })
  })

  it('says that the store is away where its thread cannot read the output from it', async () => {
    const snapshot = execution.snapshot()
    assert.deepEqual(told, [{ kind: 'snapshot', request: 0 }])
    say({ kind: 'unreadable', request: 0 })
    assert.equal((await snapshot)?.kind, 'unavailable')
  })

  it('leaves every question to the store once its thread is gone', async () => {
    const asked = [execution.snapshot(), execution.follow().read(0)]
    execution.failed(new Error('it died'))
    assert.deepEqual(await Promise.all(asked), [undefined, undefined])
    assert.equal(await execution.snapshot(), undefined)
  })
})
