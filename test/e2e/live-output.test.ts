import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeAgent } from '../support/describe-agent.js'
import { followed } from '../support/live-calls.js'

/** Numbers a line each, as fast as they come. */
const COUNT = 'seq 1 "$1"; [ -z "$2" ] || sleep "$2"'
const numbers = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => `${i + 1}\n`).join(''))
const CANCELS = process.env['CI'] ? 15 : 6

describeAgent('live output', ({ agent, calls }) => {
  before(async () => {
    await calls.script('count', COUNT)
    await calls.script('count-timeout', COUNT, { timeout_seconds: 1 })
    await calls.script('steps', 'for i in 1 2 3; do printf "$i"; while [ ! -e "$1$i" ]; do sleep 0.02; done; done')
  })

  /** A follower, the record and the store have the same bytes, and these are what was written first. */
  async function assertWhole(id: string, following: ReturnType<typeof followed>): Promise<number> {
    const [live, last] = await following
    const record = await calls.ended(id)
    const [stored] = await followed(agent.operations, id)
    assert.ok(live.equals(numbers.subarray(0, live.length)), 'not what was written')
    assert.ok(stored.equals(live), 'the store has something else')
    assert.ok(Buffer.from(record.output ?? '').equals(live), 'the record has something else')
    assert.deepEqual([record.output_bytes, last.output_bytes, last.status], [live.length, live.length, record.status])
    return live.length
  }

  it('comes while the function runs', async () => {
    const gate = join(agent.dir, 'gate')
    const id = await calls.start('steps', [gate])
    for (const output of ['1', '12', '123']) {
      const record = await calls.printed(id, output)
      assert.deepEqual([record.status, record.output], ['running', output])
      writeFileSync(`${gate}${output.length}`, '')
    }
    assert.equal((await calls.ended(id)).output, '123')
  })

  it('is whole where the function ends by itself', async () => {
    const id = await calls.start('count', ['300000'])
    const bytes = await assertWhole(id, followed(agent.operations, id))
    assert.equal(bytes, numbers.indexOf('\n300001\n') + 1)
  })

  it('is whole up to where a cancel ends it, whenever that is', async () => {
    for (let i = 0; i < CANCELS; i++) {
      const id = await calls.start('count', ['3000000', '60'])
      const following = followed(agent.operations, id)
      await sleep(Math.random() * 150)
      assert.equal((await calls.cancel(id)).success, true)
      await assertWhole(id, following)
    }
  })

  it('is whole up to where its timeout ends it', async () => {
    const id = await calls.start('count-timeout', ['100000', '60'])
    const bytes = await assertWhole(id, followed(agent.operations, id))
    assert.equal((await calls.record(id)).error, 'execution timed out after 1s')
    assert.equal(bytes, numbers.indexOf('\n100001\n') + 1)
  })

  it('does not damage a character that is written in two parts', async () => {
    await calls.script('cut', "printf '\\342\\202'; sleep 0.3; printf '\\254'")
    const record = await calls.ended(await calls.start('cut'))
    assert.equal(record.output, '€')
  })
})
