import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { leftoverQueues, replayLeftovers } from '../../../src/store/queue/leftovers.js'
import { WriteQueue } from '../../../src/store/queue/write-queue.js'
import { StoreUnavailable } from '../../../src/store/store.js'
import { ended, noise, output, running } from '../records.js'
import { SwitchedStore } from './switched-store.js'

const BYTES = 200_000

describe('what a queue leaves on disk', () => {
  let root: string
  let dir: string
  let store: EmbeddedStore

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'flux-leftovers-'))
    store = new EmbeddedStore(join(root, 'store'))
  })
  after(async () => {
    await store.close()
    await rm(root, { recursive: true })
  })
  beforeEach(async () => {
    dir = await mkdtemp(join(root, 'writes-'))
  })

  /** A queue that was closed while the store was away: all it was given is on disk, in one file. */
  async function leave(id: string): Promise<string> {
    const away = new SwitchedStore(store)
    away.mode = 'down'
    const queue = new WriteQueue({ store: away, dir, boundBytes: 1e9, report: () => {} })
    queue.push({ kind: 'begin', record: running(id) })
    for (let at = 0; at < BYTES; at += 1_000) queue.push(output(id, at, noise(at + 1_000).subarray(at)))
    queue.push({ kind: 'end', record: ended(id) })
    await queue.close()
    return queue.id
  }

  async function onlyFile(queue: string): Promise<string> {
    const [name = '', ...others] = await readdir(join(dir, queue))
    assert.deepEqual(others, [])
    return join(dir, queue, name)
  }

  it('is stored and deleted', async () => {
    const queue = await leave('whole')
    assert.deepEqual(await leftoverQueues(dir), [queue])
    assert.equal(await replayLeftovers(dir, store, [queue], assert.fail), 202)
    assert.deepEqual(await store.output('whole', 0, 1e9), noise(BYTES))
    assert.deepEqual(await store.record('whole'), ended('whole'))
    assert.deepEqual(await readdir(dir), [])
  })

  it('is nothing where there is no folder', async () => {
    assert.deepEqual(await leftoverQueues(join(dir, 'none')), [])
    assert.equal(await replayLeftovers(dir, store, ['none'], assert.fail), 0)
  })

  it('is read for the queues asked for only', async () => {
    const mine = await leave('mine')
    const other = await leave('other')
    await replayLeftovers(dir, store, [mine], assert.fail)
    assert.deepEqual(await leftoverQueues(dir), [other])
    assert.equal(await store.record('other'), undefined)
  })

  it('stays while the store is away, and can be stored later', async () => {
    const queue = await leave('interrupted')
    const away = new SwitchedStore(store)
    away.mode = 'lossy'
    await assert.rejects(replayLeftovers(dir, away, [queue], assert.fail), StoreUnavailable)
    assert.deepEqual(await leftoverQueues(dir), [queue])
    away.mode = 'up'
    assert.equal(await replayLeftovers(dir, away, [queue], assert.fail), 202)
    assert.deepEqual(await store.output('interrupted', 0, 1e9), noise(BYTES))
    assert.deepEqual(await readdir(dir), [])
  })

  it('is not mixed into the record of another execution that has its id', async () => {
    const other = { ...running('contested', 'other'), started_at: '2026-02-02T03:04:05.678Z' }
    await store.write([{ kind: 'begin', record: other }, output('contested', 0, 'theirs')])
    const queue = await leave('contested')
    const beside = await leave('beside')
    const skipped: string[] = []
    await replayLeftovers(dir, store, [queue, beside], (why) => skipped.push(why))
    assert.match(skipped.join(), /^[^,]*contested: another one has that id, so it is not recorded$/)
    assert.deepEqual(await store.record('contested'), other)
    assert.equal(String(await store.output('contested', 0, 1e9)), 'theirs')
    assert.deepEqual(await store.record('beside'), ended('beside'))
    assert.deepEqual(await readdir(dir), [])
  })

  it('is stored up to where it was cut off', async () => {
    const queue = await leave('cut')
    const file = await onlyFile(queue)
    await truncate(file, (await stat(file)).size - 1)
    const skipped: string[] = []
    assert.equal(await replayLeftovers(dir, store, [queue], (why) => skipped.push(why)), 201)
    assert.equal(skipped.length, 1)
    assert.match(skipped[0] ?? '', /the last \d+ bytes are damaged or cut off/)
    assert.deepEqual(await store.output('cut', 0, 1e9), noise(BYTES))
    assert.deepEqual(await store.record('cut'), running('cut'))
    assert.deepEqual(await readdir(dir), [])
  })

  it('is stored up to where it is damaged, in each file of its own', async () => {
    const damaged = await leave('damaged')
    const sound = await leave('sound')
    const file = await open(await onlyFile(damaged), 'r+')
    await file.write(Buffer.from([1, 2, 3]), 0, 3, 100_000)
    await file.close()
    const skipped: string[] = []
    const writes = await replayLeftovers(dir, store, [damaged, sound], (why) => skipped.push(why))
    assert.ok(writes > 202 + 90 && writes < 202 + 100, String(writes))
    assert.equal(skipped.length, 1)
    const length = await store.outputLength('damaged')
    assert.deepEqual(await store.output('damaged', 0, 1e9), noise(BYTES).subarray(0, length))
    assert.deepEqual(await store.record('sound'), ended('sound'))
    assert.deepEqual(await readdir(dir), [])
  })

  it('is whole after the process was killed', async () => {
    const program = fileURLToPath(new URL('queue-process.js', import.meta.url))
    const child = fork(program, ['127.0.0.1:1', dir, 'killed', '30000000'])
    await once(child, 'message')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const [queue = ''] = await leftoverQueues(dir)
    assert.ok((await readdir(join(dir, queue))).length >= 2)
    await replayLeftovers(dir, store, [queue], assert.fail)
    assert.equal(Buffer.compare(await store.output('killed', 0, 1e9), noise(30_000_000)), 0)
    assert.deepEqual(await store.record('killed'), ended('killed'))
  })
})
