import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { StoreUnavailable } from '../../../src/store/store.js'
import type { FromExecution } from '../../../src/threads/messages.js'
import { type Block, Output } from '../../../src/workers/execution/output.js'
import { Readers } from '../../../src/workers/execution/readers.js'
import { ended, running } from '../../store/records.js'

/** Output whose sealed blocks only a store has that is away. */
class OutOfReach extends Output {
  protected override sealed(offset: number, bytes: Buffer): Block {
    return { offset, length: bytes.length, load: () => Promise.reject(new StoreUnavailable('away')) }
  }
}

describe('Readers', () => {
  let here: MessagePort
  let there: MessagePort

  beforeEach(() => {
    const { port1, port2 } = new MessageChannel()
    here = port1
    there = port2
  })
  afterEach(() => here.close())

  function readers(output: Output): Readers {
    return new Readers(
      (message, transfer) => there.postMessage(message, transfer as ArrayBuffer[]),
      output,
      () => running('id'),
    )
  }

  async function heard(): Promise<FromExecution> {
    const [message] = await once(here, 'message')
    return message
  }

  it('answers a snapshot with the output so far', async () => {
    const output = new Output(1_000)
    output.push(Buffer.from('so far'))
    void readers(output).snapshot(7)
    const message = await heard()
    assert.ok(message.kind === 'snapshot' && message.request === 7)
    assert.deepEqual(JSON.parse(Buffer.from(message.data).toString()), {
      ...running('id'),
      output_bytes: 6,
      output: 'so far',
    })
  })

  it('says so where the store alone has what is asked for and does not give it', async () => {
    const output = new OutOfReach(1_000)
    output.push(Buffer.from('gone'))
    output.finish()
    const reading = readers(output)
    void reading.snapshot(1)
    assert.deepEqual(await heard(), { kind: 'unreadable', request: 1 })
    void reading.read(2, 0)
    assert.deepEqual(await heard(), { kind: 'unreadable', request: 2 })
  })

  it('waits for its followers until each has the record or has left', async () => {
    const output = new Output(1_000)
    output.push(Buffer.from('all'))
    const reading = readers(output)
    void reading.read(1, 3)
    void reading.read(2, 3)
    output.finish()
    let idle = false
    const end = reading.end(ended('id')).then(() => {
      idle = true
    })
    assert.deepEqual(await heard(), { kind: 'output', request: 1, part: { kind: 'end', record: ended('id') } })
    await end
    assert.equal(idle, true)
  })

  it('does not answer one that has left', async () => {
    const output = new Output(1_000)
    const reading = readers(output)
    void reading.read(1, 0)
    reading.leave(1)
    output.push(Buffer.from('x'))
    void reading.read(2, 0)
    const message = await heard()
    assert.ok(message.kind === 'output' && message.request === 2)
    reading.leave(2)
    await reading.end(ended('id'))
  })
})
