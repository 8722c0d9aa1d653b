import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { PRINTER, programOf } from '../../../bench/measure/native-function.js'
import { checkPrinted, printedBytes } from '../../../bench/measure/printed.js'
import { noProbe } from '../../support/probe.js'

const LONG = printedBytes(40_000_000)
const MARK = Buffer.from('\n[1234 bytes left out]\n')

describe('what outputs are compared with', () => {
  it('is what the printer prints', { skip: noProbe }, () => {
    const length = 1_000_003
    const printed = execFileSync(programOf(PRINTER), [String(length)], { maxBuffer: 2 * length })
    checkPrinted(printedBytes(length), printed)
  })

  it('is found in a long output that was cut, and nothing else is', () => {
    const [head, tail] = [LONG.subarray(0, 34_000_000), LONG.subarray(-65_536)]
    checkPrinted(LONG, LONG)
    checkPrinted(LONG, Buffer.concat([head, MARK, tail]))
    checkPrinted(LONG, head)
    const damaged = Buffer.from(head)
    damaged.writeUInt8(0, 1_000_000)
    for (const wrong of [
      damaged,
      Buffer.concat([damaged, MARK, tail]),
      Buffer.concat([head, tail.subarray(0, -300)]),
    ]) {
      assert.throws(() => checkPrinted(LONG, wrong), /came back as/)
    }
  })

  it('must come back whole where agents keep it whole', () => {
    const short = printedBytes(1_000_000)
    assert.throws(() => checkPrinted(short, short.subarray(0, -1)), /came back as/)
  })
})
