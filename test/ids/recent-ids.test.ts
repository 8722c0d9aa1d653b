import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RecentIds } from '../../src/ids/recent-ids.js'

const MINUTE = 60_000

describe('recent ids', () => {
  const at = (minutes: number) => minutes * MINUTE

  it('are known for an hour whenever they come, and forgotten half an hour later', () => {
    for (const given of [0, 1, 29, 30, 45, 61, 200]) {
      let now = 0
      const ids = new RecentIds(() => now)
      // Others come all the time.
      const pass = (until: number) => {
        for (; now < until; now += at(7)) ids.add(1_000_000 + now)
        now = until
      }
      pass(at(given))
      ids.add(5)
      assert.equal(ids.has(5), true)
      pass(at(given + 60))
      assert.equal(ids.has(5), true, `given at ${given}`)
      pass(at(given + 60 + 44))
      assert.equal(ids.has(5), false, `given at ${given}`)
    }
  })

  it('are known for an hour where nothing else comes', () => {
    for (const asked of [59, 60, 91, 100_000]) {
      let now = 0
      const ids = new RecentIds(() => now)
      now = at(10)
      ids.add(5)
      now += at(asked)
      assert.equal(ids.has(5), asked <= 60, `${asked}`)
    }
  })

  it('of an earlier run are known for what is left of their hour', () => {
    for (const age of [0, 10, 29, 30, 59]) {
      let now = at(1_000)
      const ids = new RecentIds(() => now)
      ids.addOld(5, at(age))
      now += at(60 - age) - 1
      assert.equal(ids.has(5), true, `${age}`)
      now += at(60)
      assert.equal(ids.has(5), false, `${age}`)
    }
    const ids = new RecentIds()
    ids.addOld(5, at(60))
    assert.equal(ids.has(5), false)
  })

  it('are forgotten sooner, the oldest first, where there are too many', () => {
    const ids = new RecentIds(() => 0, 100)
    for (let number = 1; number <= 1_000; number++) ids.add(number)
    const known = Array.from({ length: 1_000 }, (_, index) => ids.has(index + 1))
    assert.deepEqual(known.slice(-200), Array(200).fill(true))
    assert.ok(known.filter(Boolean).length <= 300)
  })
})
