import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../harness/eventually.js'
import { Patience } from '../../src/time/patience.js'
import { standStill } from '../support/stand-still.js'

describe('patience', () => {
  const echo = spawn('cat')
  after(() => echo.stdin.end())

  it('is not exhausted by a pause of this thread in which the answer has come', async () => {
    for (const pauseMs of [150, 600, 2_000]) {
      const heard: string[] = []
      const patience = new Patience(100, () => heard.push('exhausted'))
      echo.stdout.once('data', () => {
        heard.push('answer')
        patience.end()
      })
      // From an immediate on, timers are next, and only then what has arrived.
      await new Promise(setImmediate)
      echo.stdin.write('question')
      standStill(pauseMs)
      await sleep(300)
      assert.deepEqual(heard, ['answer'], `${pauseMs} ms`)
    }
  })

  it('goes on after pauses: what was not there to answer has its time', async () => {
    const begun = performance.now()
    let exhausted = 0
    const patience = new Patience(300, () => {
      exhausted = performance.now()
    })
    for (let pause = 0; pause < 2; pause++) {
      await sleep(10)
      standStill(1_000)
    }
    await sleep(150)
    assert.equal(exhausted, 0)
    await eventually('it is exhausted', () => exhausted)
    assert.ok(exhausted - begun > 2_200, `${exhausted - begun} ms`)
    patience.end()
  })

  it('is exhausted once, after its time', async () => {
    const begun = performance.now()
    const times: number[] = []
    new Patience(220, () => times.push(performance.now() - begun))
    await sleep(1_000)
    assert.equal(times.length, 1)
    assert.ok((times[0] as number) >= 215, `${times[0]} ms`)
  })

  it('is exhausted on a thread that always lags', async () => {
    let exhausted = false
    new Patience(200, () => {
      exhausted = true
    })
    const begun = performance.now()
    while (!exhausted && performance.now() - begun < 5_000) {
      standStill(120)
      await new Promise(setImmediate)
    }
    assert.ok(exhausted)
  })

  it('takes about twice its time on such a thread', async () => {
    // Neighbours on the machine may hold up one round, but hardly each.
    const rounds: number[] = []
    while (!rounds.some((ms) => ms < 3_000) && rounds.length < 3) {
      const begun = performance.now()
      let exhaustedAfter = Number.POSITIVE_INFINITY
      new Patience(1_000, () => {
        exhaustedAfter = performance.now() - begun
      })
      while (exhaustedAfter === Number.POSITIVE_INFINITY && performance.now() - begun < 10_000) {
        standStill(105)
        await new Promise(setImmediate)
      }
      rounds.push(exhaustedAfter)
    }
    assert.ok(
      rounds.some((ms) => ms < 3_000),
      `${rounds} ms`,
    )
  })

  it('begins again with everything that comes', async () => {
    let comes = true
    let exhausted = false
    new Patience(
      200,
      () => {
        exhausted = true
      },
      () => comes,
    )
    await sleep(600)
    assert.equal(exhausted, false)
    comes = false
    await sleep(600)
    assert.equal(exhausted, true)
  })

  it('ends when it is told so, by whom it asks too, and keeps no process', async () => {
    const exhausted: string[] = []
    const told = new Patience(60, () => exhausted.push('told'))
    const asked: Patience = new Patience(
      60,
      () => exhausted.push('asked'),
      () => {
        asked.end()
        return true
      },
    )
    await sleep(20)
    told.end()
    await sleep(300)
    assert.deepEqual(exhausted, [])
    const code = "import('./patience.js').then(({ Patience }) => new Patience(60_000, () => {}).end())"
    const child = spawn(process.execPath, ['-e', code], { cwd: new URL('../../src/time', import.meta.url) })
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
})
