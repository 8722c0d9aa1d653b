import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { status } from '@grpc/grpc-js'
import { startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import { describeAgent } from '../support/describe-agent.js'
import { follow } from '../support/follow.js'
import { awaitGate, deployWithFiles, Gate } from '../support/scripts.js'

const MiB = 1024 * 1024
const PAYLOAD = randomBytes(300_000)
const ROUNDS = process.env['CI'] ? 8 : 1

describeAgent(
  'FollowOutput',
  { store: ['embedded', 'redis'], config: { max_output_bytes: '40MiB' } },
  ({ agent, calls }) => {
    before(async () => {
      // Prints its payload before the first gate, and again between the first and the second.
      await deployWithFiles(calls, 'twice', `cat payload; ${awaitGate(1)}; cat payload; ${awaitGate(2)}`, {
        payload: PAYLOAD,
      })
      await deployWithFiles(calls, 'flood', `for i in $(seq $1); do cat payload; done`, { payload: randomBytes(MiB) })
    })

    const begin = (name: string, args: string[], async: boolean) => {
      const id = randomUUID()
      return { id, response: calls.execute({ function_name: name, args, execution_id: id, async }) }
    }

    for (const async of [true, false]) {
      const kind = async ? 'an async' : 'a sync'

      it(`streams ${kind} execution as it runs, from any offset, to its record`, async () => {
        const [half, whole] = [new Gate(), new Gate()]
        const { id, response } = begin('twice', [half.path, whole.path], async)
        await eventually('it runs', async () => (await calls.get(id)).found)
        const offsets = [0, 1, 65_536, 299_999, 300_000, 450_000]
        const followers = offsets.map((offset) => follow(agent.operations, id, offset))
        await eventually('the first half has come', () => followers[0]?.received() === PAYLOAD.length)
        half.open()
        await eventually('the second half has come', () => followers[0]?.received() === 2 * PAYLOAD.length)
        whole.open()
        const expected = Buffer.concat([PAYLOAD, PAYLOAD])
        for (const [index, { whole: followed }] of followers.entries()) {
          const { output, record } = await followed
          assert.ok(output.equals(expected.subarray(offsets[index])), `from ${offsets[index]}: ${output.length} bytes`)
          assert.deepEqual([record?.status, record?.output_bytes], ['success', expected.length])
          assert.equal(record && 'output' in record, false)
        }
        assert.equal((await response).error, '')
      })

      it(`misses nothing of ${kind} execution around its end`, async () => {
        for (let round = 0; round < ROUNDS; round++) {
          const gate = new Gate()
          const started = Array.from({ length: 6 }, () => begin('twice', [gate.path, gate.path], async))
          const followers = await Promise.all(
            started.map(async ({ id }) => {
              await eventually('it runs', async () => (await calls.get(id)).found)
              const pair = [follow(agent.operations, id), follow(agent.operations, id, 123_456)] as const
              await eventually('both follow', () =>
                pair.every(({ received }) => received() >= PAYLOAD.length - 123_456),
              )
              return pair
            }),
          )
          gate.open()
          for (const [fromStart, fromMiddle] of followers) {
            assert.ok((await fromStart.whole).output.equals(Buffer.concat([PAYLOAD, PAYLOAD])))
            assert.equal((await fromStart.whole).record?.status, 'success')
            assert.equal((await fromMiddle.whole).output.length, 2 * PAYLOAD.length - 123_456)
          }
          for (const { response } of started) assert.equal((await response).error, '')
        }
      })
    }

    it('gives an ended execution from any offset', async () => {
      const id = await calls.start('flood', ['5'])
      assert.equal((await calls.ended(id)).status, 'success')
      const { output, record } = await follow(agent.operations, id).whole
      assert.deepEqual([output.length, record?.status, record?.output_bytes], [5 * MiB, 'success', 5 * MiB])
      for (const offset of [1, 3 * MiB + 7, 5 * MiB - 1, 5 * MiB, 6 * MiB]) {
        const part = await follow(agent.operations, id, offset).whole
        assert.ok(part.output.equals(output.subarray(offset)), `from ${offset}`)
        assert.equal(part.record?.status, 'success')
      }
    })

    it('holds up neither the function nor other followers for some that do not read, in bounded memory', async () => {
      for (let i = 0; i < 2; i++) await follow(agent.operations, await calls.start('flood', ['20'])).whole
      const before = ownMemoryMiB(agent.pid)
      const id = await calls.start('flood', ['20'])
      const slow = Array.from({ length: 40 }, () => follow(agent.operations, id))
      for (const { stream } of slow) stream.pause()
      const quick = await follow(agent.operations, id).whole
      assert.equal(quick.output.length, 20 * MiB)
      assert.equal(quick.record?.status, 'success')
      const grown = ownMemoryMiB(agent.pid) - before
      assert.ok(grown < 400, `the agent has grown by ${grown} MiB`)
      for (const { received } of slow) assert.ok(received() < 5 * MiB)
      for (const { stream } of slow.splice(2)) stream.cancel()
      for (const { stream } of slow) stream.resume()
      for (const { whole } of slow) assert.ok((await whole).output.equals(quick.output))
    })

    it('leaves nothing of a follower that cancels', async () => {
      const [half, whole] = [new Gate(), new Gate()]
      const { id } = begin('twice', [half.path, whole.path], true)
      const leaving = [0, 0, 0, 0, 400_000].map((offset) => follow(agent.operations, id, offset))
      await eventually('the first half has come', () => leaving[0]?.received() === PAYLOAD.length)
      for (const { stream, whole: followed } of leaving) {
        stream.cancel()
        await assert.rejects(followed, { code: status.CANCELLED })
      }
      half.open()
      whole.open()
      const { output_bytes, status: end } = await calls.ended(id)
      assert.deepEqual([end, output_bytes], ['success', 2 * PAYLOAD.length])
      // A follower that still counted would keep the execution, and the stop waiting for it.
      const { operations } = agent
      const listed = () =>
        new Promise((resolve) => operations.listExecutions({}, (_, list) => resolve(list?.executions?.length)))
      await eventually('no execution is left', async () => (await listed()) === 0)
    })

    it('has the agent write nothing to its standard error but log lines', () => {
      // Node warns there when a descriptor is closed behind its back.
      for (const line of agent.logs().trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line)
    })

    it('answers NOT_FOUND for an id that it does not know', async () => {
      await assert.rejects(follow(agent.operations, randomUUID()).whole, { code: status.NOT_FOUND })
    })
  },
)

describe('FollowOutput of a text that trickles', () => {
  it('is at most 100 ms behind', async () => {
    const agent = await startTestAgent()
    const calls = new Calls(agent.client)
    await calls.script('clock', 'for i in 1 2 3 4 5 6 7 8 9 10 11; do date +%s%N; sleep 0.1; done')
    const rounds: number[][] = []
    // Neighbours on the machine may hold up one round, but hardly each.
    while (!rounds.some(isPrompt) && rounds.length < 5) {
      const { stream } = follow(agent.operations, await calls.start('clock'))
      const lags: number[] = []
      stream.on('data', ({ chunk }) => {
        const lines: string[] = chunk?.data.toString().trim().split('\n') ?? []
        for (const line of lines) lags.push(Date.now() - Number(line) / 1e6)
      })
      await eventually('it has ended', () => stream.readableEnded)
      assert.equal(lags.length, 11)
      rounds.push(lags.sort((a, b) => a - b))
    }
    assert.ok(rounds.some(isPrompt), `lags ${rounds.map((lags) => lags.map(Math.round).join()).join('; ')} ms`)
    await agent.stop()
  })
})

/** Of eleven lags, ms, in order. */
function isPrompt(lags: readonly number[]): boolean {
  return (lags[5] as number) < 100 && (lags[10] as number) < 400
}
