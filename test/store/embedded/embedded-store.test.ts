import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { open } from 'lmdb'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { RECORD_TTL_MS } from '../../../src/store/record.js'
import { ended, noise, output, running } from '../records.js'
import { storeCases } from '../store-cases.js'

const writer = fileURLToPath(new URL('embedded-writer.js', import.meta.url))

describe('embedded store', () => {
  let dir: string
  let first: EmbeddedStore
  let second: EmbeddedStore

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'flux-embedded-'))
    first = new EmbeddedStore(join(dir, 'store.d'))
    second = new EmbeddedStore(join(dir, 'store.d'))
  })

  after(async () => {
    await first.close()
    await second.close()
    await rm(dir, { recursive: true })
  })

  storeCases(
    () => first,
    () => second,
  )

  it('keeps its folder to its owner', async (t) => {
    if (process.platform === 'win32') return t.skip('Windows has no file modes')
    assert.equal((await stat(join(dir, 'store.d'))).mode & 0o777, 0o700)
  })

  it('lets several threads write at once', async () => {
    const path = join(dir, 'threads')
    const store = new EmbeddedStore(path)
    const names = ['a', 'b', 'c']
    const workers = names.map((name) => new Worker(writer, { argv: [path, name, '40'] }))
    await Promise.all([...workers.map((worker) => once(worker, 'exit')), store.begin(running('mine'))])
    for (const name of names) {
      assert.deepEqual(await store.output(name, 0, 1e9), noise(40 * 10_000))
      assert.deepEqual(await store.record(name), running(name))
    }
    await store.close()
  })

  it('has what was resolved when the process is killed', async () => {
    const path = join(dir, 'killed')
    const child = fork(writer, [path, 'killed', '1000000'])
    let stored = 0
    child.on('message', (bytes) => {
      stored = Number(bytes)
      if (stored >= 200_000) child.kill('SIGKILL')
    })
    await once(child, 'exit')
    const store = new EmbeddedStore(path)
    const length = await store.outputLength('killed')
    assert.ok(stored >= 200_000 && length >= stored, `${length} of ${stored}`)
    assert.deepEqual(await store.output('killed', 0, stored), noise(length).subarray(0, stored))
    await store.close()
  })

  it('rejects where the disk is full, leaves nothing unhandled, and keeps what it had', async (t) => {
    if (process.platform === 'win32') return t.skip('Windows has no ulimit')
    const path = join(dir, 'full')
    const limited = ['-c', 'ulimit -f 4000; exec "$0" "$@"', process.execPath, writer, path, 'full', '1000000']
    const child = spawn('sh', limited, { stdio: ['ignore', 'pipe', 'ignore'] })
    const said: Buffer[] = []
    child.stdout.on('data', (chunk) => said.push(chunk))
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
    const stored = Number(/^StoreUnavailable after (\d+)$/.exec(String(Buffer.concat(said)))?.[1])
    assert.ok(stored > 1_000_000)
    const store = new EmbeddedStore(path)
    assert.deepEqual(await store.output('full', 0, stored), noise(stored))
    await store.write([output('full', stored, 'goes on')])
    assert.equal(String(await store.output('full', stored, 1e9)), 'goes on')
    await store.close()
  })

  describe('expiry', () => {
    let now = 1_700_000_000_000
    let store: EmbeddedStore

    before(() => {
      store = new EmbeddedStore(join(dir, 'expiry'), () => now)
    })
    after(() => store.close())

    /** Entries in the store's folder, all of its databases together, once `store` has let go of it. */
    async function entries(): Promise<number> {
      const root = open({ path: join(dir, 'expiry'), noSubdir: false, readOnly: true })
      let count = 0
      for (const name of ['records', 'chunks', 'expiries', 'by-expiry', 'running']) {
        count += root.openDB({ name, encoding: 'binary' }).getCount()
      }
      await root.close()
      return count
    }

    it('hides record and output at its time, and the purge deletes all of them', async () => {
      await store.write([
        { kind: 'begin', record: running('old') },
        ...Array.from({ length: 2_500 }, (_, index) => output('old', 2 * index, 'x')),
        { kind: 'end', record: ended('old') },
        { kind: 'begin', record: running('left') },
      ])
      await store.write(
        Array.from({ length: 500 }, (_, index) => ({ kind: 'begin', record: running(`many-${index}`) })),
      )
      now += RECORD_TTL_MS - 1
      assert.notEqual(await store.record('old'), undefined)
      assert.equal(await store.outputLength('old'), 4_999)
      now += 1
      assert.equal(await store.record('old'), undefined)
      assert.equal(await store.outputLength('old'), 0)
      assert.equal((await store.output('old', 0, 10)).length, 0)
      assert.ok((await entries()) > 3_000)
      await store.purgeExpired()
      assert.equal(await entries(), 0)
    })

    it('is put off by a lease, and counts from the end', async () => {
      await store.write([
        { kind: 'begin', record: running('leased') },
        { kind: 'begin', record: running('unleased') },
        output('leased', 0, 'hi'),
      ])
      now += RECORD_TTL_MS - 1
      await store.renewLeases(['leased', 'unknown'])
      now += RECORD_TTL_MS - 1
      assert.notEqual(await store.record('leased'), undefined)
      assert.equal(await store.record('unleased'), undefined)
      assert.equal(await store.record('unknown'), undefined)
      await store.purgeExpired()
      assert.equal(String(await store.output('leased', 0, 10)), 'hi')
      await store.write([{ kind: 'end', record: ended('leased') }])
      now += RECORD_TTL_MS - 1
      assert.equal((await store.record('leased'))?.status, 'success')
      now += 1
      assert.equal(await store.record('leased'), undefined)
    })

    it('frees the id, with nothing of the earlier execution left, purged or not', async () => {
      await store.write([
        { kind: 'begin', record: running('reused', 'before') },
        output('reused', 0, 'of the earlier one'),
      ])
      now += RECORD_TTL_MS
      assert.equal(await store.begin(running('reused')), true)
      assert.equal(await store.outputLength('reused'), 0)
      assert.equal(await store.endLeftovers('before', 'gone'), 0)
      now += RECORD_TTL_MS
      await store.write([output('reused', 3, 'new')])
      assert.equal(await store.record('reused'), undefined)
      assert.equal((await store.output('reused', 0, 10)).length, 0)
      assert.equal(String(await store.output('reused', 3, 10)), 'new')
      assert.deepEqual(await store.gaps('reused'), [{ from: 0, to: 3 }])
      now += RECORD_TTL_MS
      await store.purgeExpired()
      assert.equal(await entries(), 0)
    })
  })
})
