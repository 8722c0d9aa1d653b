import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { platform } from '../../../src/os/index.js'
import type { ProcessEnd, SupervisedProcess } from '../../../src/os/platform.js'
import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { WriteQueue } from '../../../src/store/queue/write-queue.js'
import type { StoreWrite } from '../../../src/store/store.js'
import { LiveOutput } from '../../../src/workers/execution/live-output.js'
import { BLOCK_BYTES, wholeOutput } from '../../../src/workers/execution/output.js'
import { OutputCap } from '../../../src/workers/execution/output-cap.js'
import { bytesAt } from '../../archive/bytes-at.js'
import { run, script } from '../../os/linux/processes.js'
import { STARTERS, SURVIVING } from '../../os/linux/starters.js'
import { allStored } from '../../store/queue/all-stored.js'
import { SwitchedStore } from '../../store/queue/switched-store.js'
import { noise } from '../../store/records.js'

const MiB = 1024 * 1024
const MAX = 150_000
/** What a starter reads before anything is released: from a window to one and a last read, or a kept one. */
const LEAST_WINDOW_BYTES = 262_144
const MOST_WINDOW_BYTES = 524_288

type OutputWrite = Extract<StoreWrite, { kind: 'output' }>

/** A real store that can be slowed and tells what was written to it. */
class WatchedStore extends EmbeddedStore {
  delayMs = 0
  readonly written: OutputWrite[] = []

  override async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    await sleep(this.delayMs)
    for (const write of batch) if (write.kind === 'output') this.written.push(write)
    return super.write(batch)
  }

  writtenFor(id: string): OutputWrite[] {
    return this.written.filter((write) => write.id === id)
  }
}

function keptOf(bytes: Buffer, max: number): Buffer {
  const cap = new OutputCap(max)
  return Buffer.concat([cap.push(bytes), cap.finish()])
}

const assertSame = (actual: Uint8Array, expected: Buffer) =>
  assert.ok(expected.equals(actual), `${actual.length} bytes, ${expected.length} expected`)

/** What happens between the first and the last byte; `read` looks at a share of what there is, in thousandths. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.nat(20_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.nat(70_000) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), share: fc.nat(1000) }) },
)

describe('LiveOutput', () => {
  let dir: string
  let store: WatchedStore
  let queue: WriteQueue
  let ids = 0

  before(() => {
    dir = makeTempDir('flux-live-output-')
    store = new WatchedStore(join(dir, 'store'))
    queue = new WriteQueue({ store, dir: join(dir, 'writes'), boundBytes: 64 * MiB, report: () => {} })
  })
  after(async () => {
    await queue.close()
    await store.close()
  })

  function open(maxBytes: number, safe: (bytes: number) => void = () => {}): { id: string; output: LiveOutput } {
    const id = `execution-${ids++}`
    return { id, output: new LiveOutput({ id, maxBytes, queue, store, safe }) }
  }

  const stored = async (id: string) => store.output(id, 0, await store.outputLength(id))

  it('leaves in the store exactly what is kept, however it came and was looked at', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25, size: 'max' }), async (steps) => {
        const { id, output } = open(MAX)
        const total = steps.reduce((sum, step) => sum + (step.kind === 'push' ? step.bytes : 0), 0)
        const bytes = noise(total)
        let at = 0
        for (const step of steps) {
          if (step.kind === 'push') {
            output.push(bytes.subarray(at, at + step.bytes))
            at += step.bytes
          } else if (step.kind === 'turn') await nextTurn()
          else if (step.kind === 'wait') await sleep(60)
          else {
            const offset = Math.floor((Math.min(output.length, MAX) * step.share) / 1000)
            const part = await bytesAt(output, offset)
            assertSame(part, bytes.subarray(offset, offset + part.length))
          }
        }
        output.finish()
        const kept = keptOf(bytes, MAX)
        assertSame(await wholeOutput(output), kept)
        assert.equal(await allStored(queue, 10_000), true)
        assertSame(await stored(id), kept)
        assertSame(await wholeOutput(output), kept)
        let end = 0
        for (const write of store.writtenFor(id)) {
          assert.equal(write.offset, end, 'written twice, or not in order')
          end += write.bytes.length
        }
        assert.equal(end, kept.length)
        output.release()
      }),
      { numRuns: 40 },
    )
  })

  it('writes what waits although nothing follows', async () => {
    const { id, output } = open(MAX)
    output.push(Buffer.from('prompt> '))
    const written = await eventually('it is stored', async () => (await stored(id)).toString(), 2)
    assert.equal(written, 'prompt> ')
    output.finish()
  })

  it('writes many small pieces in few blocks', async () => {
    const { id, output } = open(MiB)
    for (let i = 0; i < 20_000; i++) output.push(Buffer.from('0123456789'))
    output.finish()
    await allStored(queue, 10_000)
    const blocks = store.writtenFor(id).length
    // A block may also end by its age.
    assert.ok(blocks <= 4 + 200_000 / BLOCK_BYTES, `${blocks} blocks`)
  })

  it('can be read when it is more than stays in memory', async () => {
    const { output } = open(40 * MiB)
    const bytes = noise(20 * MiB)
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) output.push(bytes.subarray(at, at + BLOCK_BYTES))
    output.finish()
    assert.equal(await allStored(queue, 30_000), true)
    assertSame(await wholeOutput(output), bytes)
    output.release()
  })

  it('holds a process up that writes faster than the store takes, and loses nothing of it', {
    skip: isWindows(),
  }, async () => {
    let process: SupervisedProcess | undefined
    const { id, output } = open(40 * MiB, (bytes) => process?.release(bytes))
    const starter = platform.createStarter({ kind: 'child_process', scratchDir: join(dir, 'run') })
    queue.boundBytes = MiB
    let full = false
    let ended: (end: ProcessEnd) => void = () => {}
    const end = new Promise<ProcessEnd>((resolve) => {
      ended = resolve
    })
    store.delayMs = 20
    const request = {
      file: '/bin/sh',
      args: ['-c', 'head -c 8388608 /dev/zero'],
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
    }
    process = starter.start(request, {
      started: () => {},
      output: (chunk) => {
        output.push(chunk)
        full ||= queue.full
      },
      ended: (how) => ended(how),
    })
    const { kind, durationMs } = await end
    assert.equal(kind, 'exited')
    assert.ok(durationMs > 8 * store.delayMs, `${durationMs} ms`)
    output.finish()
    store.delayMs = 0
    await starter.close()
    assert.equal(full, false, 'more than a MiB waited for the store')
    assert.equal(await allStored(queue, 10_000), true)
    assertSame(await stored(id), Buffer.alloc(8 * MiB))
    output.release()
  })

  for (const { name, skip, setup } of [...STARTERS.filter(({ kind }) => kind === 'child_process'), ...SURVIVING]) {
    it(`holds a process of ${name} up while neither store nor disk takes anything, and loses nothing`, {
      skip,
    }, async (t) => {
      const size = 3 * MiB
      const own = makeTempDir('flux-live-output-')
      const starter = platform.createStarter(setup(own))
      t.after(() => starter.close())
      const away = new SwitchedStore(store)
      const events: string[] = []
      const stuck = new WriteQueue({
        store: away,
        dir: join(own, 'writes'),
        boundBytes: 64 * MiB,
        report: ({ kind }) => events.push(kind),
      })
      t.after(() => stuck.close())
      await writeFile(join(own, 'writes'), 'in the way')
      away.mode = 'down'
      const id = `stuck-${ids++}`
      let process: SupervisedProcess | undefined
      let seen = 0
      const output = new LiveOutput({
        id,
        maxBytes: 40 * MiB,
        queue: stuck,
        store,
        safe: (bytes) => process?.release(bytes),
      })
      const end = new Promise<ProcessEnd>((resolve) => {
        const request = script(`head -c ${size} /dev/zero; touch ${join(own, 'written')}`, {
          note: Buffer.from('note'),
        })
        process = starter.start(request, {
          started: () => {},
          output: (chunk) => {
            seen += chunk.length
            output.push(chunk)
          },
          ended: resolve,
        })
      })
      await eventually('a window is full', () => seen >= LEAST_WINDOW_BYTES)
      await eventually('the disk has failed', () => events.includes('disk-failed'))
      // What runs beside it would otherwise have been overtaken.
      assert.equal((await run(starter, script(`head -c ${size} /dev/zero`))).output.length, size)
      assert.ok(seen <= MOST_WINDOW_BYTES, `${seen} bytes`)
      assert.equal(existsSync(join(own, 'written')), false)

      await rm(join(own, 'writes'))
      assert.equal((await end).kind, 'exited')
      output.finish()
      assert.equal(seen, size)
      assert.equal(await store.outputLength(id), 0)
      away.mode = 'up'
      assert.equal(await allStored(stuck, 10_000), true)
      assertSame(await stored(id), Buffer.alloc(size))
      process?.forget()
      output.release()
    })
  }
})

function isWindows(): boolean {
  return process.platform === 'win32'
}
