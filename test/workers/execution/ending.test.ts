import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ending } from '../../../src/workers/execution/ending.js'

describe('Ending', () => {
  it('lets the first cause win and acts on it once', () => {
    const ending = new Ending()
    let acts = 0
    ending.whenCaused(() => acts++)
    ending.end('cancelled')
    ending.end('timeout')
    assert.deepEqual([ending.cause, acts], ['cancelled', 1])
  })

  it('lets no cause win once the process has ended by itself', () => {
    const ending = new Ending()
    let acts = 0
    ending.whenCaused(() => acts++)
    ending.close()
    ending.end('cancelled')
    assert.deepEqual([ending.cause, acts], [undefined, 0])
  })

  it('keeps a cause that has won when the process ends', () => {
    const ending = new Ending()
    ending.end('hangup')
    ending.close()
    assert.equal(ending.cause, 'hangup')
  })

  it('acts at once on a cause that won before it was told how', () => {
    const ending = new Ending()
    let acts = 0
    ending.end('stopped')
    ending.whenCaused(() => acts++)
    assert.equal(acts, 1)
  })
})
