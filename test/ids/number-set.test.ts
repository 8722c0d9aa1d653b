import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { idNumber } from '../../src/ids/id-number.js'
import { NumberSet } from '../../src/ids/number-set.js'

describe('a set of numbers of ids', () => {
  it('has what was added, and nothing else', () => {
    const set = new NumberSet()
    const numbers = Array.from({ length: 100_000 }, (_, i) => idNumber(`exc-${i}`))
    for (const [index, number] of numbers.entries()) {
      assert.equal(set.has(number), false)
      set.add(number)
      set.add(number)
      assert.equal(set.size, index + 1)
    }
    for (const number of numbers) assert.equal(set.has(number), true)
    for (let i = 0; i < 100_000; i++) assert.equal(set.has(idNumber(`other-${i}`)), false)
  })

  it('takes the smallest and the largest', () => {
    const set = new NumberSet()
    for (const number of [1, 255, 256, 2 ** 53 - 1]) {
      assert.equal(set.has(number), false)
      set.add(number)
      assert.equal(set.has(number), true)
    }
  })

  it('takes no more than 16 bytes for each, once there are many', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const held = () => {
      // What the first has found is freed by another thread, and at the latest by the second.
      for (let i = 0; i < 2; i++) collect()
      return process.memoryUsage().arrayBuffers
    }
    const before = held()
    const set = new NumberSet()
    for (let i = 0; i < 500_000; i++) set.add(idNumber(String(i)))
    const bytes = (held() - before) / set.size
    assert.ok(bytes > 8 && bytes < 17, `${bytes} bytes`)
  })
})
