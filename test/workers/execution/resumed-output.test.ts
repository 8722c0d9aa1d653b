import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { leftoverQueues, replayLeftovers } from '../../../src/store/queue/leftovers.js'
import { type QueueEvent, WriteQueue } from '../../../src/store/queue/write-queue.js'
import { type Store, StoreUnavailable, type StoreWrite } from '../../../src/store/store.js'
import { LiveOutput } from '../../../src/workers/execution/live-output.js'
import { wholeOutput } from '../../../src/workers/execution/output.js'
import { leftOutMark, OutputCap, TAIL_BYTES } from '../../../src/workers/execution/output-cap.js'
import { allStored } from '../../store/queue/all-stored.js'
import { noise, output as outputWrite } from '../../store/records.js'

const MiB = 1024 * 1024
const MAX = 150_000

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.nat(20_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.nat(70_000) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('switch' as const), mode: fc.constantFrom('up', 'down') }),
  },
)

/** An agent's part of an output: what happens to it, how it goes, and how much of what it released was not received. */
const part = fc.record({
  steps: fc.array(step, { maxLength: 10, size: 'max' }),
  goes: fc.constantFrom('killed', 'handing over'),
  finishes: fc.boolean(),
  received: fc.double({ min: 0, max: 1, noNaN: true }),
})

/** The store as one agent sees it. After its death, nothing of it arrives any more. */
class AgentsStore {
  mode: string = 'up'
  private landing: Promise<unknown> = Promise.resolve()

  constructor(private readonly store: Pick<Store, 'write'>) {}

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    await nextTurn()
    if (this.mode === 'down') throw new StoreUnavailable('switched off')
    const landed = this.store.write(batch)
    this.landing = landed
    return landed
  }

  async die(): Promise<void> {
    this.mode = 'down'
    await this.landing
  }
}

function keptOf(bytes: Buffer, max: number): Buffer {
  const cap = new OutputCap(max)
  return Buffer.concat([cap.push(bytes), cap.finish()])
}

/** How much of an output need not be seen again once all that is kept of it is safe. */
const safeOf = (seen: number, max: number) => Math.max(Math.min(seen, max), seen - TAIL_BYTES)

const assertSame = (actual: Uint8Array, expected: Buffer) =>
  assert.ok(expected.equals(actual), `${actual.length} bytes, ${expected.length} expected`)

describe('output that one agent after the other sees', () => {
  let root: string
  let store: EmbeddedStore
  let runs = 0

  before(() => {
    root = makeTempDir('flux-resumed-output-')
    store = new EmbeddedStore(join(root, 'store'))
  })
  after(() => store.close())

  const stored = async (id: string) => store.output(id, 0, await store.outputLength(id))

  class Agent {
    readonly store: AgentsStore
    readonly queue: WriteQueue
    readonly output: LiveOutput
    readonly events: QueueEvent[] = []
    /** Up to where the output is told to be safe. */
    safe: number

    constructor(
      readonly id: string,
      readonly dir: string,
      max: number,
      from: number,
    ) {
      this.safe = from
      this.store = new AgentsStore(store)
      const report = (event: QueueEvent) => this.events.push(event)
      this.queue = new WriteQueue({ store: this.store, dir, boundBytes: 64 * MiB, report })
      this.output = new LiveOutput({
        id,
        maxBytes: max,
        queue: this.queue,
        store,
        safe: (bytes) => {
          assert.ok(bytes > 0)
          this.safe += bytes
        },
        from,
      })
    }

    /** Dies at once, with what is on disk then, which the next one replays. Answers what was told to be safe. */
    async killed(): Promise<number> {
      const { safe } = this
      const left = `${this.dir}-left`
      if (existsSync(this.dir)) await cp(this.dir, left, { recursive: true })
      await this.store.die()
      await this.queue.close()
      this.output.release()
      await rm(this.dir, { recursive: true, force: true })
      await replayLeftovers(left, store, await leftoverQueues(left), () => {})
      return safe
    }

    async handsOver(): Promise<number> {
      await this.queue.close()
      await this.store.die()
      this.output.release()
      await replayLeftovers(this.dir, store, await leftoverQueues(this.dir), assert.fail)
      return this.safe
    }
  }

  it('is in the store as if one had seen it all, and safe is only what the store, the disk or nobody needs', async () => {
    const total = fc.oneof(fc.nat(MAX + TAIL_BYTES), fc.integer({ min: MAX, max: MAX + 3 * TAIL_BYTES }))
    await fc.assert(
      fc.asyncProperty(total, fc.array(part, { minLength: 1, maxLength: 4, size: 'max' }), async (total, parts) => {
        const bytes = noise(total)
        const id = `run-${++runs}`
        let keptFrom = 0
        let from = 0
        for (const [nth, { steps, goes, finishes, received }] of parts.entries()) {
          const agent = new Agent(id, join(root, `${id}-${nth}`), MAX, from)
          let at = from
          const push = (length: number) => {
            agent.output.push(bytes.subarray(at, at + length))
            at = Math.min(at + length, total)
          }
          for (const step of steps) {
            if (step.kind === 'push') push(step.bytes)
            else if (step.kind === 'turn') await nextTurn()
            else if (step.kind === 'wait') await sleep(60)
            else agent.store.mode = step.mode
            // The agent before it may have seen more than it has so far.
            const most = Math.max(from, safeOf(at, MAX))
            assert.ok(agent.safe <= most, `${agent.safe} of ${at} bytes are told to be safe`)
          }
          if (finishes) {
            push(total)
            agent.output.finish()
            await nextTurn()
          }
          const safe = await (goes === 'killed' ? agent.killed() : agent.handsOver())
          const length = await store.outputLength(id)
          assert.ok(length >= Math.min(safe, MAX), `${length} of ${safe} bytes that were told to be safe are stored`)
          const head = Math.min(length, MAX)
          assertSame(await store.output(id, 0, head), bytes.subarray(0, head))
          // As the launcher and the store tell the next one.
          keptFrom += Math.floor((safe - keptFrom) * received)
          from = Math.max(keptFrom, head)
        }
        const last = new Agent(id, join(root, `${id}-last`), MAX, from)
        last.output.push(bytes.subarray(from))
        last.output.finish()
        assert.equal(await allStored(last.queue, 10_000), true)
        const kept = keptOf(bytes, MAX)
        assertSame(await stored(id), kept)
        assert.deepEqual(await store.gaps(id), [])
        assertSame(await wholeOutput(last.output), kept)
        assert.equal(last.safe, safeOf(total, MAX))
        last.output.release()
        await last.queue.close()
      }),
      { numRuns: 60 },
    )
  })

  it('gets its mark and its tail where the agent before has stored a part of them', async () => {
    const bytes = noise(MAX + 2 * TAIL_BYTES)
    const kept = keptOf(bytes, MAX)
    const mark = leftOutMark(TAIL_BYTES).length
    for (const tail of [0, 1, mark - 1, mark, mark + 1, mark + 1000, mark + TAIL_BYTES - 1, mark + TAIL_BYTES]) {
      for (const from of [MAX, MAX + 1, MAX + TAIL_BYTES]) {
        const id = `tail-${tail}-${from}`
        await store.write([outputWrite(id, 0, kept.subarray(0, MAX + tail))])
        const agent = new Agent(id, join(root, id), MAX, from)
        for (let at = from; at < bytes.length; at += 10_000) agent.output.push(bytes.subarray(at, at + 10_000))
        agent.output.finish()
        assert.equal(await allStored(agent.queue, 10_000), true)
        assertSame(await stored(id), kept)
        assertSame(await wholeOutput(agent.output), kept)
        assert.equal(agent.safe, MAX + TAIL_BYTES)
        await agent.queue.close()
      }
    }
  })

  it('is not told to be safe while the store is away and the disk takes nothing, beyond the cap either', async () => {
    const bytes = noise(MAX + 2 * TAIL_BYTES)
    const agent = new Agent('stuck', join(root, 'stuck'), MAX, 0)
    await writeFile(agent.dir, 'in the way')
    agent.store.mode = 'down'
    agent.output.push(bytes.subarray(0, 1000))
    await eventually('the disk has failed', () => agent.events.some(({ kind }) => kind === 'disk-failed'))
    agent.output.push(bytes.subarray(1000))
    agent.output.finish()
    await nextTurn()
    assert.equal(agent.safe, 0)
    await rm(agent.dir)
    await eventually('the disk has all', () => agent.safe === MAX + TAIL_BYTES)
    assert.equal(await store.outputLength('stuck'), 0)
    agent.store.mode = 'up'
    assert.equal(await allStored(agent.queue, 10_000), true)
    assertSame(await stored('stuck'), keptOf(bytes, MAX))
    await agent.queue.close()
  })
})
