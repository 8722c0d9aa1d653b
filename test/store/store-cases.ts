import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { FunctionSettings } from '../../src/store/function.js'
import type { ExecutionRecord } from '../../src/store/record.js'
import type { Store } from '../../src/store/store.js'
import { ended, noise, output, running } from './records.js'

const hello: FunctionSettings = {
  name: 'hello',
  handler: 'bin/hello',
  cpuMillicores: 250,
  memoryMb: 64,
  timeoutSeconds: 30,
  env: { GREETING: 'grüß dich', EMPTY: '' },
  maxConcurrency: 5,
  maxConcurrencyBehavior: 'wait',
}

const unread = (name: string, why: string) => assert.fail(`${name}: ${why}`)

/** What every store keeps. `first` and `second` are two connections to one that was empty. */
export function storeCases(first: () => Store, second: () => Store): void {
  describe('functions', () => {
    it('come back as they were put, and the newest wins', async () => {
      await first().putFunction({ ...hello, memoryMb: 1 })
      await first().putFunction(hello)
      await first().putFunction({ ...hello, name: 'other' })
      const functions = await second().functions(unread)
      assert.deepEqual(
        functions.toSorted((a, b) => a.name.localeCompare(b.name)),
        [hello, { ...hello, name: 'other' }],
      )
    })

    it('are as they were before a registration that is withdrawn, unless there was another since', async () => {
      const named = async (name: string) => (await second().functions(unread)).find((found) => found.name === name)
      const [old, changed] = [1, 2].map((memoryMb) => ({ ...hello, name: 'withdrawn', memoryMb })) as [
        FunctionSettings,
        FunctionSettings,
      ]
      await first().putFunction(old, 'one')
      await first().withdrawFunction(old, 'one')
      assert.equal(await named('withdrawn'), undefined)
      await first().putFunction(old, 'two')
      await first().putFunction(changed, 'three')
      await first().withdrawFunction(old, 'two')
      assert.deepEqual(await named('withdrawn'), changed)
      for (let time = 0; time < 2; time++) {
        await first().withdrawFunction(changed, 'three')
        assert.deepEqual(await named('withdrawn'), old)
      }
    })

    it('are all found where there are thousands', async () => {
      const names = Array.from({ length: 2_500 }, (_, index) => `many-${index}`)
      await Promise.all(names.map((name) => first().putFunction({ ...hello, name })))
      const found = new Set((await first().functions(unread)).map(({ name }) => name))
      assert.deepEqual(
        names.filter((name) => !found.has(name)),
        [],
      )
    })
  })

  describe('begin', () => {
    it('takes an id once, and again for the same record', async () => {
      assert.equal(await first().record('once'), undefined)
      assert.equal(await first().begin(running('once')), true)
      assert.equal(await second().begin(running('once')), true)
      assert.equal(await second().begin({ ...running('once'), started_at: '2026-01-02T03:04:05.679Z' }), false)
      assert.equal(await second().begin(running('once', 'agent-2')), false)
      assert.deepEqual(await second().record('once'), running('once'))
    })

    it('lets one of two at once have the id', async () => {
      for (let round = 0; round < 50; round++) {
        const id = `race-${round}`
        const won = await Promise.all([first().begin(running(id, 'agent-1')), second().begin(running(id, 'agent-2'))])
        assert.deepEqual(won.toSorted(), [false, true])
        assert.equal((await first().record(id))?.agent_id, won[0] ? 'agent-1' : 'agent-2')
      }
    })

    it('late or twice changes nothing about an execution that has ended', async () => {
      await first().write([
        { kind: 'begin', record: running('late', 'late-agent') },
        output('late', 0, 'kept'),
        { kind: 'end', record: ended('late', 'late-agent') },
      ])
      await first().write([{ kind: 'begin', record: running('late', 'late-agent') }])
      assert.equal(await second().begin(running('late', 'late-agent')), false)
      assert.deepEqual(await second().record('late'), ended('late', 'late-agent'))
      assert.equal(String(await second().output('late', 0, 100)), 'kept')
      assert.equal(await second().endLeftovers('late-agent', 'gone'), 0)
      assert.deepEqual(await second().record('late'), ended('late', 'late-agent'))
    })
  })

  describe('refuse', () => {
    const refused = (id: string, error: string): ExecutionRecord => ({
      ...ended(id, 'refusing-agent'),
      status: 'failed',
      error,
      refused: true,
    })

    it('says why an execution did not begin, newly each time', async () => {
      await first().refuse([refused('refused', 'one'), refused('refused-too', 'two')])
      assert.deepEqual(await second().record('refused'), refused('refused', 'one'))
      assert.deepEqual(await second().record('refused-too'), refused('refused-too', 'two'))
      await first().refuse([refused('refused', 'three')])
      assert.deepEqual(await second().record('refused'), refused('refused', 'three'))
      assert.equal(await second().endLeftovers('refusing-agent', 'gone'), 0)
      assert.deepEqual(await second().record('refused'), refused('refused', 'three'))
    })

    it('leaves the id free, for a begin at once or later', async () => {
      for (const [id, begin] of [
        ['free-now', () => second().begin(running('free-now', 'free-agent'))],
        ['free-later', () => second().write([{ kind: 'begin', record: running('free-later', 'free-agent') }])],
      ] as const) {
        await first().refuse([refused(id, 'at capacity')])
        assert.notEqual(await begin(), false)
        assert.deepEqual(await first().record(id), running(id, 'free-agent'))
        assert.equal(await first().begin({ ...running(id, 'free-agent'), started_at: 'later' }), false)
      }
      assert.equal(await first().endLeftovers('free-agent', 'gone'), 2)
      assert.equal((await first().record('free-now'))?.error, 'gone')
    })

    it('changes nothing about one that runs or has ended', async () => {
      await first().begin(running('has-run'))
      await first().write([output('has-run', 0, 'kept')])
      await second().refuse([refused('has-run', 'at capacity')])
      assert.deepEqual(await first().record('has-run'), running('has-run'))
      await first().write([{ kind: 'end', record: ended('has-run') }])
      await second().refuse([refused('has-run', 'at capacity')])
      assert.deepEqual(await first().record('has-run'), ended('has-run'))
      assert.equal(String(await first().output('has-run', 0, 10)), 'kept')
    })
  })

  describe('a batch whose id another execution has', () => {
    const late = (id: string) => ({ ...running(id), started_at: '2026-01-02T03:04:09.000Z' })

    it('leaves that one as it is, and says which id it was', async () => {
      for (const agent of ['agent-1', 'agent-2']) {
        const id = `taken-by-${agent}`
        await first().write([{ kind: 'begin', record: running(id, agent) }, output(id, 0, 'the first')])
        const taken = await first().write([
          { kind: 'begin', record: late(id) },
          output(id, 0, 'the second, longer'),
          { kind: 'begin', record: running(`beside-${id}`) },
          output(`beside-${id}`, 0, 'kept'),
          { kind: 'end', record: { ...ended(id), error: 'second' } },
        ])
        assert.deepEqual([...taken], [id])
        assert.deepEqual(await second().record(id), running(id, agent))
        assert.equal(String(await second().output(id, 0, 100)), 'the first')
        assert.equal(String(await second().output(`beside-${id}`, 0, 100)), 'kept')
      }
    })

    it('may be this very one again, at any point of its life', async () => {
      const whole = [
        { kind: 'begin', record: running('very') } as const,
        output('very', 0, 'kept'),
        { kind: 'end', record: { ...ended('very'), output_bytes: 4 } } as const,
      ]
      for (let upTo = 1; upTo <= whole.length; upTo++) {
        assert.deepEqual([...(await first().write(whole.slice(0, upTo)))], [])
        assert.deepEqual([...(await first().write(whole))], [])
        assert.deepEqual(await second().record('very'), { ...ended('very'), output_bytes: 4 })
      }
    })
  })

  describe('output', () => {
    it('is read in any part', async () => {
      const bytes = noise(1_000)
      await first().write([output('parts', 0, bytes.subarray(0, 300)), output('parts', 300, bytes.subarray(300, 301))])
      await first().write([output('parts', 301, bytes.subarray(301))])
      assert.equal(await second().outputLength('parts'), 1_000)
      for (const [from, to] of [
        [0, 1_000],
        [0, 5_000],
        [299, 302],
        [300, 301],
        [950, 2_000],
        [1_000, 2_000],
        [7, 7],
      ] as const) {
        assert.deepEqual(await second().output('parts', from, to), bytes.subarray(from, to), `[${from}, ${to})`)
      }
    })

    it('may be written again with other borders', async () => {
      const bytes = noise(400)
      const put = (from: number, to: number) => output('again', from, bytes.subarray(from, to))
      await first().write([put(0, 100)])
      await first().write([put(0, 50), put(50, 150)])
      assert.deepEqual(await first().output('again', 0, 1_000), bytes.subarray(0, 150))
      await first().write([put(200, 250)])
      await first().write([put(150, 160), put(120, 300)])
      await first().write([put(10, 20)])
      assert.deepEqual(await first().output('again', 30, 60), bytes.subarray(30, 60))
      await first().write([put(0, 400)])
      assert.deepEqual(await first().output('again', 0, 1_000), bytes)
      assert.deepEqual(await first().output('again', 35, 275), bytes.subarray(35, 275))
      assert.equal(await first().outputLength('again'), 400)
    })

    it('is read up to where it was lost, and on from behind that', async () => {
      await first().write([output('hole', 4, 'abc')])
      await first().write([output('hole', 10, 'xyz'), output('hole', 20, 'end')])
      assert.deepEqual(await second().gaps('hole'), [
        { from: 0, to: 4 },
        { from: 7, to: 10 },
        { from: 13, to: 20 },
      ])
      const read = async (from: number, to: number) => String(await second().output('hole', from, to))
      assert.deepEqual(
        [
          await read(0, 50),
          await read(2, 6),
          await read(4, 50),
          await read(5, 6),
          await read(7, 9),
          await read(10, 50),
        ],
        ['', '', 'abc', 'b', '', 'xyz'],
      )
      assert.deepEqual([await read(21, 50), await read(23, 50), await read(40, 50)], ['nd', '', ''])
    })

    it('has no gap any more where what was missing is written after all', async () => {
      await first().write([output('filled', 10, '0123456789')])
      await first().write([output('filled', 2, 'ab')])
      assert.deepEqual(await first().gaps('filled'), [
        { from: 0, to: 2 },
        { from: 4, to: 10 },
      ])
      await first().write([output('filled', 0, '..')])
      await first().write([output('filled', 3, '-------+')])
      assert.deepEqual(await first().gaps('filled'), [])
      assert.equal(String(await first().output('filled', 0, 50)).length, 20)
      await first().write([{ kind: 'end', record: { ...ended('filled'), output_bytes: 20 } }])
      assert.equal((await first().record('filled'))?.output_lost_bytes, undefined)
    })

    it('that is missing is told in the record of the end, in the middle and at the end', async () => {
      await first().write([{ kind: 'begin', record: running('lost') }, output('lost', 0, 'ab'), output('lost', 5, 'f')])
      const record = { ...ended('lost'), output_bytes: 10 }
      for (let times = 0; times < 2; times++) {
        await first().write([{ kind: 'end', record }])
        assert.deepEqual(await second().record('lost'), { ...record, output_lost_bytes: 7 })
      }
      assert.deepEqual(await second().gaps('lost'), [
        { from: 2, to: 5 },
        { from: 6, to: 10 },
      ])
    })

    it('of several executions in one batch goes to each', async () => {
      await first().write([
        output('mixed-1', 0, 'a'),
        output('mixed-2', 0, 'x'),
        output('mixed-1', 1, 'b'),
        output('mixed-2', 1, 'y'),
        output('mixed-1', 5, 'f'),
        { kind: 'end', record: ended('mixed-1') },
      ])
      assert.equal(String(await first().output('mixed-1', 0, 10)), 'ab')
      assert.equal(String(await first().output('mixed-1', 5, 10)), 'f')
      assert.equal(String(await first().output('mixed-2', 0, 10)), 'xy')
    })

    it('of one execution is not taken for a record or for the output of another', async () => {
      const ids = ['odd', 'odd:output', 'odd:', 'odd 0', '*', 'ö"\\/', 'x'.repeat(200)]
      for (const id of ids) await first().write([{ kind: 'begin', record: running(id) }, output(id, 0, `of ${id}`)])
      for (const id of ids) {
        assert.deepEqual(await first().record(id), running(id))
        assert.equal(String(await first().output(id, 0, 1_000)), `of ${id}`)
      }
    })

    it('of an earlier execution is gone when its id begins anew', async () => {
      await first().write([output('stale', 0, 'old and long')])
      assert.equal(await first().begin(running('stale')), true)
      assert.equal(await first().outputLength('stale'), 0)
    })

    it('may be large', async () => {
      const bytes = noise(40 * 1024 * 1024)
      for (let at = 0; at < bytes.length; at += 1024 * 1024) {
        await first().write([output('large', at, bytes.subarray(at, at + 1024 * 1024))])
      }
      assert.equal(await second().outputLength('large'), bytes.length)
      assert.equal(Buffer.compare(await second().output('large', 0, bytes.length), bytes), 0)
    })

    it('of an execution nobody knows is empty', async () => {
      assert.equal((await first().output('nobody', 0, 100)).length, 0)
      assert.equal(await first().outputLength('nobody'), 0)
      assert.equal(await first().record('nobody'), undefined)
    })
  })

  describe('leftovers', () => {
    it('are ended as failed, those of this agent only, once', async () => {
      await first().write([
        { kind: 'begin', record: running('left-1', 'crashed') },
        { kind: 'begin', record: running('left-2', 'crashed') },
        { kind: 'begin', record: running('left-done', 'crashed') },
        { kind: 'begin', record: running('left-other', 'crashed-2') },
        output('left-1', 0, 'said this'),
        { kind: 'end', record: ended('left-done', 'crashed') },
      ])
      assert.equal(await second().endLeftovers('crashed', 'the agent stopped'), 2)
      assert.equal(await second().endLeftovers('crashed', 'the agent stopped'), 0)
      const left = await first().record('left-1')
      assert.match(left?.status_at ?? '', /^\d{4}-\d\d-\d\dT[\d:]+\.\d+Z$/)
      assert.deepEqual(left, {
        ...running('left-1', 'crashed'),
        status: 'failed',
        error: 'the agent stopped',
        status_at: left?.status_at,
      })
      assert.equal((await first().record('left-2'))?.status, 'failed')
      assert.deepEqual(await first().record('left-done'), ended('left-done', 'crashed'))
      assert.equal((await first().record('left-other'))?.status, 'running')
      assert.equal(String(await first().output('left-1', 0, 100)), 'said this')
    })

    it('spares those that are alive, which end later', async () => {
      for (const id of ['alive-1', 'alive-2', 'dead-1', 'dead-2']) await first().begin(running(id, 'outlived'))
      const alive = new Set(['alive-1', 'alive-2', 'never-heard-of'])
      assert.equal(await second().endLeftovers('outlived', 'agent restarted', alive), 2)
      for (const id of ['alive-1', 'alive-2']) assert.deepEqual(await first().record(id), running(id, 'outlived'))
      for (const id of ['dead-1', 'dead-2']) assert.equal((await first().record(id))?.error, 'agent restarted')
      await first().write([
        { kind: 'begin', record: running('alive-1', 'outlived') },
        output('alive-1', 0, 'goes on'),
        { kind: 'end', record: ended('alive-1', 'outlived') },
      ])
      assert.deepEqual(await second().record('alive-1'), ended('alive-1', 'outlived'))
      assert.equal(String(await second().output('alive-1', 0, 100)), 'goes on')
      assert.equal(await second().endLeftovers('outlived', 'agent restarted', new Set()), 1)
      assert.equal((await first().record('alive-2'))?.error, 'agent restarted')
    })

    it('takes again what an agent that died had stored already: the begin, output, and the end', async () => {
      const writes = [
        { kind: 'begin', record: running('again', 'outlived') } as const,
        output('again', 0, 'all of it'),
        { kind: 'end', record: ended('again', 'outlived') } as const,
      ]
      await first().write(writes)
      for (const batch of [writes, [writes[0]], writes.slice(1)] as (typeof writes)[]) {
        assert.deepEqual([...(await second().write(batch))], [])
        assert.deepEqual(await first().record('again'), ended('again', 'outlived'))
        assert.equal(String(await first().output('again', 0, 100)), 'all of it')
        assert.deepEqual(await first().gaps('again'), [])
      }
    })
  })
}
