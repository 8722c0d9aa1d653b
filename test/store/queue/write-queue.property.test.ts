import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { leftoverQueues, replayLeftovers } from '../../../src/store/queue/leftovers.js'
import type { PendingWrite } from '../../../src/store/queue/pending.js'
import { WriteQueue } from '../../../src/store/queue/write-queue.js'
import { ended, noise, output, running } from '../records.js'
import { allStored, isEmpty } from './all-stored.js'
import { type Mode, SwitchedStore } from './switched-store.js'

type Step =
  | { readonly kind: 'push'; readonly execution: number; readonly size: number }
  | { readonly kind: 'switch'; readonly mode: Mode }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'read'; readonly nth: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('push' as const), execution: fc.nat(2), size: fc.nat(1_500) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('switch' as const), mode: fc.constantFrom<Mode>('up', 'down', 'lossy') }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 0, 1, 5, 60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), nth: fc.nat() }) },
)

describe('write queue, whatever happens', () => {
  let root: string
  let embedded: EmbeddedStore
  let run = 0

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'flux-property-'))
    embedded = new EmbeddedStore(join(root, 'store'))
  })
  after(async () => {
    await embedded.close()
    await rm(root, { recursive: true })
  })

  it('stores exactly what was pushed, and says so once each, in order', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), fc.boolean(), carryOut), {
      numRuns: 60,
      endOnFailure: true,
    })
  })

  async function carryOut(steps: readonly Step[], stopEarly: boolean): Promise<void> {
    const dir = join(root, `run-${++run}`)
    const ids = [0, 1, 2].map((execution) => `${run}-${execution}`)
    const store = new SwitchedStore(embedded)
    const queue = new WriteQueue({
      store,
      dir,
      boundBytes: 1e9,
      segmentBytes: 5_000,
      report: ({ kind }) => assert.ok(kind === 'away' || kind === 'back', kind),
    })
    const expected: Buffer[] = ids.map(() => Buffer.alloc(0))
    const pushed: { write: PendingWrite; bytes: Buffer }[] = []
    const storedOrder: number[] = []
    const push = (write: Parameters<WriteQueue['push']>[0]) => {
      const bytes = write.kind === 'output' ? write.bytes : Buffer.alloc(0)
      const turn = pushed.length
      const stored = (part: Buffer | undefined) => {
        assert.ok(part?.equals(bytes))
        storedOrder.push(turn)
      }
      pushed.push({ write: queue.push(write, stored), bytes })
    }

    for (const id of ids) push({ kind: 'begin', record: running(id) })
    for (const one of steps) {
      if (one.kind === 'switch') store.mode = one.mode
      else if (one.kind === 'wait') await sleep(one.ms)
      else if (one.kind === 'read') {
        const waiting = pushed.slice(storedOrder.length)
        const chosen = waiting[one.nth % waiting.length]
        if (chosen) assert.ok((await chosen.write.bytes()).equals(chosen.bytes))
      } else {
        const before = expected[one.execution] ?? Buffer.alloc(0)
        const all = noise(before.length + one.size)
        expected[one.execution] = all
        push(output(ids[one.execution] ?? '', before.length, all.subarray(before.length)))
      }
    }
    for (const id of ids) push({ kind: 'end', record: ended(id) })

    if (!stopEarly) {
      store.mode = 'up'
      assert.equal(await allStored(queue, 20_000), true)
      assert.equal(storedOrder.length, pushed.length)
      assert.ok(isEmpty(queue))
    }
    await queue.close()
    assert.deepEqual(storedOrder, [...storedOrder.keys()])
    const left = await leftoverQueues(dir)
    assert.deepEqual(left, storedOrder.length === pushed.length ? [] : [queue.id])
    await replayLeftovers(dir, embedded, left, assert.fail)
    if (left.length > 0) assert.deepEqual(await readdir(dir), [])
    for (const [execution, id] of ids.entries()) {
      assert.ok((await embedded.output(id, 0, 1e9)).equals(expected[execution] ?? Buffer.alloc(0)))
      assert.deepEqual(await embedded.record(id), ended(id))
    }
  }
})
