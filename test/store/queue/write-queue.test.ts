import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { untilDurable } from '../../../src/store/queue/pending.js'
import { SpillFile } from '../../../src/store/queue/spill-file.js'
import { type QueueEvent, WriteQueue, type WriteQueueOptions } from '../../../src/store/queue/write-queue.js'
import type { StoreWrite } from '../../../src/store/store.js'
import { ended, noise, output, running } from '../records.js'
import { allStored, isEmpty } from './all-stored.js'
import { SwitchedStore } from './switched-store.js'

const MiB = 1024 * 1024

describe('write queue', () => {
  let root: string
  let dir: string
  let embedded: EmbeddedStore
  let store: SwitchedStore
  let queue: WriteQueue
  let events: QueueEvent[]

  const makeQueue = (options: Partial<WriteQueueOptions> = {}) =>
    new WriteQueue({ store, dir, boundBytes: 64 * MiB, report: (event) => events.push(event), ...options })
  const kinds = () => events.map(({ kind }) => kind)
  const segments = async () => (existsSync(join(dir, queue.id)) ? await readdir(join(dir, queue.id)) : [])

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'flux-queue-'))
    embedded = new EmbeddedStore(join(root, 'store'))
  })
  after(async () => {
    await embedded.close()
    await rm(root, { recursive: true })
  })
  beforeEach(async () => {
    dir = await mkdtemp(join(root, 'writes-'))
    store = new SwitchedStore(embedded)
    events = []
    queue = makeQueue()
  })
  afterEach(async () => {
    store.answer()
    await queue.close()
  })

  /** Pushes `bytes` as output of `id` in pieces, and answers them; `stored` collects what the callbacks were given. */
  function pushAll(id: string, bytes: Buffer, piece: number, stored: Buffer[] = []) {
    const pending = []
    for (let at = 0; at < bytes.length; at += piece) {
      pending.push(
        queue.push(output(id, at, bytes.subarray(at, at + piece)), (part) =>
          stored.push(part ?? Buffer.from('damaged')),
        ),
      )
    }
    return pending
  }

  it('sends what belongs to one moment in one batch', async () => {
    const order: string[] = []
    queue.push({ kind: 'begin', record: running('moment') }, () => order.push('begin'))
    queue.push(output('moment', 0, 'hello'), (bytes) => order.push(String(bytes)))
    queue.push({ kind: 'end', record: ended('moment') }, () => order.push('end'))
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(store.batches, [3])
    assert.deepEqual(order, ['begin', 'hello', 'end'])
    assert.deepEqual(await embedded.record('moment'), ended('moment'))
    assert.ok(isEmpty(queue))
  })

  it('sends at most a MiB and 500 writes at once, one batch after the other', async () => {
    pushAll('many', noise(1_200), 1)
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(store.batches, [500, 500, 200])
    pushAll('heavy', noise(3 * MiB), MiB / 2)
    pushAll('giant', noise(2 * MiB), 2 * MiB)
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(store.batches.slice(3), [2, 2, 2, 1])
    assert.deepEqual(await embedded.output('giant', 0, 3 * MiB), noise(2 * MiB))
  })

  it('gives each write back while it waits, from memory and from disk', async () => {
    store.mode = 'down'
    const bytes = noise(10 * MiB)
    const pending = pushAll('back', bytes, 100_000)
    const record = queue.push({ kind: 'begin', record: running('back') })
    await Promise.all(pending.map(untilDurable))
    assert.equal((await segments()).length, 1)
    for (const [index, write] of pending.entries()) {
      const expected = bytes.subarray(index * 100_000, (index + 1) * 100_000)
      assert.equal(write.length, expected.length)
      assert.deepEqual(await write.bytes(), expected)
    }
    assert.equal(record.length, JSON.stringify(running('back')).length)
    assert.equal((await record.bytes()).length, 0)
    store.mode = 'up'
    assert.equal(await allStored(queue, 10_000), true)
    await assert.rejects(async () => pending[0]?.bytes(), /does not wait/)
  })

  it('puts what does not fit into memory on disk while the store is away, and nothing stays there', async () => {
    store.mode = 'down'
    const bytes = noise(50 * MiB)
    const stored: Buffer[] = []
    const first = pushAll('outage', bytes.subarray(0, 25 * MiB), 64 * 1024, stored)
    await eventually('it is away', () => queue.away)
    await Promise.all(first.map(untilDurable))
    for (let at = 25 * MiB; at < bytes.length; at += 64 * 1024) {
      const write = queue.push(output('outage', at, bytes.subarray(at, at + 64 * 1024)), (part) =>
        stored.push(part ?? Buffer.from('damaged')),
      )
      if (at % (5 * MiB) === 0) await untilDurable(write)
    }
    await eventually('there are three segments', async () => (await segments()).length >= 3)
    assert.equal(queue.full, false)
    pushAll('more', noise(15 * MiB), MiB)
    assert.equal(queue.full, true)
    store.mode = 'up'
    assert.equal(await allStored(queue, 20_000), true)
    assert.equal(queue.full, false)
    assert.equal(Buffer.compare(Buffer.concat(stored), bytes), 0)
    assert.equal(Buffer.compare(await embedded.output('outage', 0, 60 * MiB), bytes), 0)
    assert.deepEqual(kinds(), ['away', 'back'])
    await queue.close()
    assert.deepEqual(await readdir(dir), [])
  })

  it('puts thousands of small writes on disk and gets them back', async () => {
    store.mode = 'down'
    queue = makeQueue()
    const bytes = noise(5_000)
    const stored: Buffer[] = []
    const pending = pushAll('small', bytes, 1, stored)
    await eventually('it is away', () => queue.away)
    await Promise.all(pending.map(untilDurable))
    assert.equal((await segments()).length, 1)
    store.mode = 'up'
    assert.equal(await allStored(queue, 10_000), true)
    assert.deepEqual(Buffer.concat(stored), bytes)
    assert.deepEqual(await embedded.output('small', 0, 6_000), bytes)
  })

  it('is away while an answer is late, and sends nothing twice', async () => {
    store.mode = 'slow'
    queue.push(output('late', 0, 'hello'))
    await eventually('the batch is sent', () => store.batches.length === 1)
    assert.equal(queue.away, false)
    queue.push(output('late', 5, ' world'))
    await eventually('it is away', () => queue.away)
    assert.equal(await allStored(queue, 200), false)
    assert.deepEqual(store.batches, [1])
    store.answer()
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(store.batches, [1, 1])
    assert.deepEqual(kinds(), ['away', 'back'])
    assert.equal(queue.away, false)
    assert.equal(String(await embedded.output('late', 0, 20)), 'hello world')
  })

  it('keeps all in memory where the disk does not take it, and says that nothing is safe', async () => {
    await writeFile(join(dir, queue.id), 'in the way')
    store.mode = 'down'
    const bytes = noise(6 * MiB)
    const pending = pushAll('no-disk', bytes, 64 * 1024)
    const safe = await Promise.all(pending.map((write) => write.durable()))
    assert.equal(safe.includes(true), false)
    assert.ok(kinds().includes('disk-failed'))
    store.mode = 'up'
    assert.equal(await allStored(queue, 10_000), true)
    assert.equal(await pending.at(-1)?.durable(), true)
    assert.equal(Buffer.compare(await embedded.output('no-disk', 0, 7 * MiB), bytes), 0)
    store.mode = 'slow'
    const again = queue.push(output('no-disk', 0, 'x'))
    store.answer()
    assert.equal(await again.durable(), true)
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(kinds(), ['away', 'disk-failed', 'back'])
  })

  it('goes on to the disk once that takes it again', async () => {
    const inTheWay = join(dir, queue.id)
    await writeFile(inTheWay, '')
    store.mode = 'down'
    const bytes = noise(6 * MiB)
    const pending = pushAll('disk-again', bytes, 64 * 1024)
    await eventually('the disk has failed', () => kinds().includes('disk-failed'))
    await rm(inTheWay)
    await Promise.all(pending.map(untilDurable))
    assert.equal((await segments()).length, 1)
    store.mode = 'up'
    assert.equal(await allStored(queue, 10_000), true)
    assert.equal(Buffer.compare(await embedded.output('disk-again', 0, 7 * MiB), bytes), 0)
  })

  it('sends to the disk what is pushed while anything is there, though the store is back', async () => {
    store.mode = 'down'
    const report = (event: QueueEvent) => {
      // The first batch lands, the second is not answered.
      if (event.kind === 'back') store.mode = 'slow'
      events.push(event)
    }
    queue = makeQueue({ report })
    const bytes = noise(3 * MiB)
    const before = pushAll('order', bytes.subarray(0, 2 * MiB), 64 * 1024)
    await Promise.all(before.map((write) => write.durable()))
    assert.equal(queue.away, true)
    store.mode = 'up'
    await eventually('it is back', () => kinds().includes('back'))
    const after = []
    for (let at = 2 * MiB; at < bytes.length; at += 64 * 1024) {
      after.push(queue.push(output('order', at, bytes.subarray(at, at + 64 * 1024))))
    }
    await Promise.all(after.map((write) => write.durable()))
    store.answer()
    assert.equal(await allStored(queue, 5_000), true)
    assert.equal(Buffer.compare(await embedded.output('order', 0, 4 * MiB), bytes), 0)
  })

  it('lets go of what reaches the disk after the store', async (t) => {
    const append = SpillFile.prototype.append
    let reach = () => {}
    const stored = new Promise<void>((resolve) => {
      reach = resolve
    })
    const delayed = mock.method(SpillFile.prototype, 'append', async function (this: SpillFile, writes: StoreWrite[]) {
      await stored
      return append.call(this, writes)
    })
    t.after(() => delayed.mock.restore())
    store.mode = 'down'
    queue = makeQueue()
    pushAll('raced', noise(10_000), 1_000)
    await eventually('it goes to the disk', () => delayed.mock.callCount() === 1)
    store.mode = 'up'
    assert.equal(await allStored(queue, 5_000), true)
    pushAll('raced-2', noise(10_000), 1_000)
    reach()
    assert.equal(await allStored(queue, 5_000), true)
    assert.ok(isEmpty(queue))
    await queue.close()
    assert.deepEqual(await readdir(dir), [])
    assert.deepEqual(await embedded.output('raced-2', 0, 20_000), noise(10_000))
  })

  it('says what came back damaged from the disk, and stores the rest', async () => {
    store.mode = 'down'
    queue = makeQueue()
    const bytes = noise(30_000)
    const stored: Buffer[] = []
    const pending = pushAll('damaged', bytes, 10_000, stored)
    await eventually('all is on disk', async () => {
      const [segment] = await segments()
      return (
        segment &&
        (await open(join(dir, queue.id, segment)).then(async (file) => {
          const { size } = await file.stat()
          await file.close()
          return size > 30_000
        }))
      )
    })
    await eventually('it is let go of', async () => !(await pending[1]?.bytes())?.equals(Buffer.alloc(0)))
    const [segment] = await segments()
    const file = await open(join(dir, queue.id, segment ?? ''), 'r+')
    await file.write(Buffer.from('X'), 0, 1, 15_000)
    await file.close()
    store.mode = 'up'
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(
      events.find(({ kind }) => kind === 'lost'),
      { kind: 'lost', writes: 1, dir: join(dir, queue.id) },
    )
    const [before, after] = [bytes.subarray(0, 10_000), bytes.subarray(20_000)]
    assert.deepEqual(Buffer.concat(stored), Buffer.concat([before, Buffer.from('damaged'), after]))
    assert.deepEqual(await embedded.output('damaged', 0, 40_000), before)
    assert.deepEqual(await embedded.gaps('damaged'), [{ from: 10_000, to: 20_000 }])
    assert.deepEqual(await embedded.output('damaged', 20_000, 40_000), after)
  })

  it('tells once a write would outlive it: in the store, on disk, or not yet', async () => {
    const inStore = queue.push(output('kept', 0, 'a'))
    assert.equal(await inStore.durable(), true)
    assert.equal(String(await embedded.output('kept', 0, 9)), 'a')
    store.mode = 'slow'
    const unanswered = queue.push(output('kept', 1, 'b'))
    assert.equal(await unanswered.durable(), true)
    assert.equal(queue.away, true)
    assert.equal((await segments()).length, 1)
    assert.equal(await queue.push(output('kept', 2, 'c')).durable(), true)
    store.answer()
    assert.equal(await allStored(queue, 5_000), true)

    const inTheWay = join(dir, queue.id)
    await eventually('the segment is gone', async () => (await segments()).length === 0)
    await rm(inTheWay, { recursive: true, force: true })
    await writeFile(inTheWay, '')
    store.mode = 'down'
    const refused = queue.push(output('kept', 3, 'd'))
    assert.equal(await refused.durable(), false)
    assert.equal(await refused.durable(), false)
    await rm(inTheWay)
    await eventually('the disk takes it', () => refused.durable())
    store.mode = 'up'
    assert.equal(await allStored(queue, 5_000), true)
    assert.equal(String(await embedded.output('kept', 0, 9)), 'abcd')
  })

  it('stores nothing of an execution whose id the store gave to another, and says so', async () => {
    const own = { ...running('contested'), started_at: '2026-01-02T03:04:09.000Z' }
    await embedded.write([{ kind: 'begin', record: running('contested', 'other') }, output('contested', 0, 'theirs')])
    store.mode = 'down'
    queue.push({ kind: 'begin', record: own })
    queue.push(output('contested', 0, 'ours, longer'))
    queue.push(output('uncontested', 0, 'ours'))
    await eventually('it is away', () => queue.away)
    store.mode = 'up'
    await eventually('the begin has landed', () => kinds().includes('taken'))
    queue.push(output('contested', 12, ', and more'))
    queue.push({ kind: 'end', record: { ...ended('contested'), output_bytes: 22 } })
    assert.equal(await allStored(queue, 5_000), true)
    assert.deepEqual(await embedded.record('contested'), running('contested', 'other'))
    assert.equal(String(await embedded.output('contested', 0, 99)), 'theirs')
    assert.equal(String(await embedded.output('uncontested', 0, 99)), 'ours')
    assert.deepEqual(kinds(), ['away', 'taken', 'back'])
  })

  it('takes nothing after it was closed', async () => {
    await queue.close()
    assert.throws(() => queue.push(output('closed', 0, 'x')), /closed/)
    assert.deepEqual(await readdir(dir), [])
  })
})
