import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Outbox } from '../../src/threads/outbox.js'

describe('messages to another thread', () => {
  let outbox: Outbox<string>
  let there: MessagePort

  beforeEach(() => {
    const { port1, port2 } = new MessageChannel()
    outbox = new Outbox(port1)
    there = port2
  })
  afterEach(() => there.close())

  const heard = async () => (await once(there, 'message'))[0] as string[]

  it('go out together at the end of the turn, in their order', async () => {
    for (const message of ['a', 'b']) outbox.send(message)
    assert.deepEqual(await heard(), ['a', 'b'])
  })

  it('that are in no hurry go with the next one', async () => {
    outbox.hold('a')
    await new Promise(setImmediate)
    outbox.send('b')
    assert.deepEqual(await heard(), ['a', 'b'])
  })

  it('that are in no hurry do not wait for long where no other comes, each time', async () => {
    for (const message of ['a', 'b']) {
      outbox.hold(message)
      assert.deepEqual(await heard(), [message])
    }
  })

  it('that are held when all are flushed are sent once', async () => {
    outbox.hold('a')
    outbox.flush()
    assert.deepEqual(await heard(), ['a'])
    outbox.hold('b')
    assert.deepEqual(await heard(), ['b'])
  })
})
