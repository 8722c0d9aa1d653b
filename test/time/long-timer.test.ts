import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LONGEST_TIMER_MS, LongTimer } from '../../src/time/long-timer.js'
import { standStill } from '../support/stand-still.js'

const turn = () => new Promise(setImmediate)

describe('a long timer', () => {
  it('fires after its time, however long that is, and once', async ({ mock }) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    for (const ms of [0, 1, 999, LONGEST_TIMER_MS, LONGEST_TIMER_MS + 1, 2_147_483_647_000]) {
      let fired = 0
      new LongTimer(ms, () => fired++)
      for (let left = ms; left > 0; left -= LONGEST_TIMER_MS) {
        mock.timers.tick(Math.min(left, LONGEST_TIMER_MS) - 1)
        await turn()
        assert.equal(fired, 0, `${left} of ${ms} ms are left`)
        mock.timers.tick(1)
        await turn()
      }
      mock.timers.tick(1)
      await turn()
      assert.equal(fired, 1, `${ms} ms`)
    }
  })

  it('of more than a timer of Node takes does not fire at once', async () => {
    let fired = false
    const timer = new LongTimer(LONGEST_TIMER_MS + 1, () => {
      fired = true
    })
    await sleep(50)
    assert.equal(fired, false)
    timer.clear()
  })

  it('that is cleared does not fire, not even in its last turn', async () => {
    let fired = false
    const timers = [1, 20].map((ms) => new LongTimer(ms, () => (fired = true)))
    for (const timer of timers) setTimeout(() => timer.clear(), 1)
    standStill(30)
    await sleep(50)
    assert.equal(fired, false)
  })
})
