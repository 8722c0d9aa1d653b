import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { describeAgent } from '../support/describe-agent.js'
import { followed } from '../support/live-calls.js'

const CAP = 131_072
const TAIL = 65_536

describeAgent('the output cap', { config: { max_output_bytes: '128KiB' } }, ({ agent, calls }) => {
  before(async () => {
    // $1 bytes of lines, then a last one.
    await calls.script('lines', 'yes 0123456789 | head -c "$1"; echo last; exit 7')
    await calls.script('bytes', 'for i in $(seq "$1"); do printf "\\0\\1\\377\\200\\n\\r\\303(\\342\\202"; done')
  })

  const linesOf = (bytes: number) => Buffer.concat([Buffer.alloc(bytes, '0123456789\n'), Buffer.from('last\n')])

  function capped(output: Buffer): Buffer {
    const mark = `\n[flux-agent: ${output.length - CAP - TAIL} bytes of output left out]\n`
    return Buffer.concat([output.subarray(0, CAP), Buffer.from(mark), output.subarray(output.length - TAIL)])
  }

  const assertSame = (actual: Buffer, expected: Buffer) =>
    assert.ok(actual.equals(expected), `${actual.length} bytes, ${expected.length} expected: ${actual.subarray(-80)}`)

  it('keeps the first part, how much is left out, and the last part; the function runs on to its end', async () => {
    const { output, error } = await calls.execute({ function_name: 'lines', args: ['50000000'] })
    assert.equal(error, 'exit code 7')
    assertSame(output, capped(linesOf(50_000_000)))
  })

  it('keeps the same of an async execution, in its record and in the store', async () => {
    const id = await calls.start('lines', ['50000000'])
    const record = await calls.ended(id, 60)
    const expected = capped(linesOf(50_000_000))
    assert.deepEqual([record.error, record.exit_code, record.output_bytes], ['exit code 7', 7, expected.length])
    assertSame(Buffer.from(record.output ?? ''), expected)
    assertSame((await followed(agent.operations, id))[0], expected)
  })

  for (const beyond of [0, TAIL]) {
    it(`leaves nothing out where ${beyond} bytes exceed it`, async () => {
      const bytes = CAP + beyond - 'last\n'.length
      const { output } = await calls.execute({ function_name: 'lines', args: [`${bytes}`] })
      assertSame(output, linesOf(bytes))
    })
  }

  it('returns binary output byte for byte, sync and from the store', async () => {
    const piece = Buffer.from([0, 1, 0xff, 0x80, 0x0a, 0x0d, 0xc3, 0x28, 0xe2, 0x82])
    const expected = Buffer.concat(Array.from({ length: 5_000 }, () => piece))
    const { output } = await calls.execute({ function_name: 'bytes', args: ['5000'] })
    assertSame(output, expected)
    const id = await calls.start('bytes', ['5000'])
    const record = await calls.ended(id)
    assertSame((await followed(agent.operations, id))[0], expected)
    assert.equal(record.output, new TextDecoder().decode(expected))
  })
})
