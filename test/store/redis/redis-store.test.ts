import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { RECORD_TTL_MS } from '../../../src/store/record.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { OutcomeUnknown, StoreUnavailable } from '../../../src/store/store.js'
import { settingsOf } from '../../support/settings.js'
import { standStill } from '../../support/stand-still.js'
import { ended, noise, output, running } from '../records.js'
import { storeCases } from '../store-cases.js'

const unavailable = (why: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StoreUnavailable, String(error))
  assert.match(error.message, why)
  return true
}

describe('redis store', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  let first: RedisStore
  let second: RedisStore

  before(async () => {
    server = await RedisServer.start()
    first = new RedisStore(server.address)
    second = new RedisStore(`127.0.0.1:${server.port}/0`)
  })

  after(async () => {
    await first.close()
    await second.close()
    await server.stop()
  })

  storeCases(
    () => first,
    () => second,
  )

  it('reads functions other agents have written, and says which are none', async () => {
    await server.with((redis) => redis.flushall())
    await server.with((redis) =>
      redis.mset({
        'agent:function:upstream':
          '{"Name":"upstream","Handler":"run.sh","Resources":{"CPU":500,"Memory":128},"Timeout":30,"MaxConcurrency":5,"MaxConcurrencyBehavior":"wait","Env":{"KEY":"value"}}',
        'agent:function:broken': '{"Name":',
        'function:not-ours': '{"Handler":"x"}',
      }),
    )
    await server.with((redis) => redis.sadd('agent:function:a-set', 'x'))
    const reasons: string[] = []
    assert.deepEqual(await first.functions((name, why) => reasons.push(`${name}: ${why}`)), [
      {
        name: 'upstream',
        handler: 'run.sh',
        cpuMillicores: 500,
        memoryMb: 128,
        timeoutSeconds: 30,
        env: { KEY: 'value' },
        maxConcurrency: 5,
        maxConcurrencyBehavior: 'wait',
      },
    ])
    assert.deepEqual(reasons.toSorted(), ['a-set: not JSON', 'broken: not JSON'])
  })

  const settings = (handler: string) => settingsOf('late', handler)
  const storedHandler = async () =>
    JSON.parse((await server.with((redis) => redis.get('agent:function:late'))) ?? '').Handler

  it('takes back a registration that it was given while it was paused', async () => {
    await first.putFunction(settings('old'), 'old')
    server.pause()
    await assert.rejects(first.putFunction(settings('new'), 'new'), (error) => error instanceof OutcomeUnknown)
    server.resume()
    await eventually('it arrives all the same', async () => (await storedHandler()) === 'new')
    await first.withdrawFunction(settings('new'), 'new')
    assert.equal(await storedHandler(), 'old')
  })

  it('does not store what arrives after it was taken back, and after what came later', async () => {
    await first.putFunction(settings('old'), 'before')
    await first.withdrawFunction(settings('overdue'), 'overdue')
    await first.putFunction(settings('newer'), 'newer')
    await second.putFunction(settings('overdue'), 'overdue')
    assert.equal(await storedHandler(), 'newer')
  })

  it('knows that what the server has refused is not stored', async (t) => {
    await server.with((redis) => redis.config('SET', 'min-replicas-to-write', '1'))
    t.after(() => server.with((redis) => redis.config('SET', 'min-replicas-to-write', '0')))
    await assert.rejects(first.putFunction(settings('refused')), (error) => {
      assert.ok(error instanceof StoreUnavailable && !(error instanceof OutcomeUnknown), String(error))
      return true
    })
  })

  it('keeps functions without expiry, records and output with one, and leases put it off', async () => {
    const ttl = (key: string) => server.with((redis) => redis.pttl(key))
    const expiring = async (key: string, now = RECORD_TTL_MS) => {
      const left = await ttl(key)
      assert.ok(left > now - 60_000 && left <= now, `${key}: ${left}`)
    }
    await first.putFunction(settingsOf('f'))
    assert.equal(await ttl('agent:function:f'), -1)

    await first.write([{ kind: 'begin', record: running('ttl') }, output('ttl', 0, 'hello')])
    await expiring('flux:exec:ttl')
    await expiring('flux:exec-output:ttl')
    await server.with((redis) => redis.pexpire('flux:exec:ttl', 100_000))
    await server.with((redis) => redis.pexpire('flux:exec-output:ttl', 100_000))
    await first.renewLeases(['ttl', 'unknown'])
    await expiring('flux:exec:ttl')
    await expiring('flux:exec-output:ttl')
    await server.with((redis) => redis.pexpire('flux:exec-output:ttl', 100_000))
    await first.write([{ kind: 'end', record: ended('ttl') }])
    await expiring('flux:exec:ttl')
    await expiring('flux:exec-output:ttl')
    assert.equal(await ttl('flux:exec:unknown'), -2)

    await first.begin(running('ttl-left', 'ttl-agent'))
    await server.with((redis) => redis.pexpire('flux:exec:ttl-left', 100_000))
    await first.endLeftovers('ttl-agent', 'gone')
    await expiring('flux:exec:ttl-left')
    assert.equal(await server.with((redis) => redis.exists('flux-agent:running:ttl-agent')), 0)
  })

  it('sends little more than the output', async () => {
    const id = '01234567-89ab-cdef-0123-456789abcdef'
    const received = () =>
      server.with(async (redis) => Number(/total_net_input_bytes:(\d+)/.exec(await redis.info('stats'))?.[1]))
    const measuring = await received().then(async (before) => (await received()) - before)
    for (const [pieces, size] of [
      [1, 1],
      [1, 65_536],
      [1, 1_048_576],
      [100, 1_000],
    ] as const) {
      const bytes = noise(pieces * size)
      const batch = Array.from({ length: pieces }, (_, index) =>
        output(id, index * size, bytes.subarray(index * size, (index + 1) * size)),
      )
      const before = await received()
      await first.write(batch)
      const extra = (await received()) - before - measuring - bytes.length
      assert.ok(extra > 0 && extra <= 400, `${pieces} × ${size} bytes took ${extra} more`)
    }
  })

  it('marks what it has lost, and knows its scripts again, when it has started anew', async () => {
    const bytes = noise(300)
    await first.write([{ kind: 'begin', record: running('forgotten') }, output('forgotten', 0, bytes.subarray(0, 100))])
    await server.halt()
    await server.restart()
    for (const store of [first, second]) await eventually('it answers', () => store.record('x').then(() => true))
    await first.write([output('forgotten', 100, bytes.subarray(100, 200)), output('unhurt', 0, 'all of it')])
    await first.write([output('forgotten', 200, bytes.subarray(200))])
    assert.deepEqual(await second.gaps('forgotten'), [{ from: 0, to: 100 }])
    assert.deepEqual(await second.output('forgotten', 100, 400), bytes.subarray(100))
    assert.equal(String(await second.output('unhurt', 0, 100)), 'all of it')
    const record = { ...ended('forgotten'), output_bytes: 300 }
    await server.with((redis) => redis.del('flux:exec-output:forgotten'))
    await first.write([{ kind: 'end', record }])
    assert.deepEqual(await second.gaps('forgotten'), [{ from: 0, to: 300 }])
    assert.deepEqual(await second.record('forgotten'), { ...record, output_lost_bytes: 300 })
    const ttl = await server.with((redis) => redis.pttl('flux:exec-gaps:forgotten'))
    assert.ok(ttl > RECORD_TTL_MS - 60_000, `${ttl} ms`)
    await server.with((redis) => redis.script('FLUSH'))
    assert.equal(await first.begin(running('forgotten-2')), true)
    await server.with((redis) => redis.script('FLUSH'))
    await first.write([output('forgotten-2', 0, 'hello')])
    assert.equal(String(await second.output('forgotten-2', 0, 100)), 'hello')
  })

  it('replaces keys of its own that hold something else', async () => {
    await server.with(async (redis) => {
      await redis.sadd('flux:exec:odd-type', 'x')
      await redis.sadd('flux:exec-output:odd-type', 'x')
      await redis.set('flux-agent:running:odd-agent', 'x')
      await redis.set('flux:exec-gaps:odd-type', 'x')
    })
    assert.equal(await first.record('odd-type'), undefined)
    assert.equal(await first.outputLength('odd-type'), 0)
    assert.equal((await first.output('odd-type', 0, 5)).length, 0)
    await first.begin(running('other', 'agent-1'))
    await first.write([
      output('other', 0, 'as it was'),
      { kind: 'begin', record: running('odd-type', 'odd-agent') },
      output('odd-type', 0, 'hello'),
    ])
    assert.deepEqual(await first.record('odd-type'), running('odd-type', 'odd-agent'))
    assert.equal(String(await first.output('odd-type', 0, 9)), 'hello')
    assert.equal(String(await first.output('other', 0, 9)), 'as it was')
    await server.with((redis) => redis.set('flux:exec-gaps:odd-type', 'x'))
    await first.write([output('odd-type', 9, '!'), output('other', 9, '!')])
    assert.deepEqual(await first.gaps('odd-type'), [{ from: 5, to: 9 }])
    assert.equal(await first.endLeftovers('odd-agent', 'gone'), 1)
    assert.equal((await first.record('odd-type'))?.output_lost_bytes, 4)
  })

  it('hides the password', async () => {
    const store = new RedisStore(`redis://someone:topsecret@127.0.0.1:${server.port}`)
    assert.equal(store.address, `redis://127.0.0.1:${server.port}`)
    await assert.rejects(store.record('x'), (error: Error) => {
      assert.ok(!error.message.includes('topsecret'))
      return unavailable(/WRONGPASS/)(error)
    })
    await store.close()
  })

  describe('that is away', () => {
    let store: RedisStore

    beforeEach(() => {
      store = new RedisStore(server.address)
    })
    afterEach(async () => {
      await store.close()
      server.resume()
      if (!server.running) await server.restart()
    })

    const answers = () => eventually('the store answers', () => store.record('x').then(() => true))

    it('is known at once where nobody listens, and found again once somebody does', async () => {
      await answers()
      await server.halt()
      const nowhere = new RedisStore('127.0.0.1:1')
      await assert.rejects(nowhere.record('x'), unavailable(/127\.0\.0\.1:1: .*ECONNREFUSED/))
      await nowhere.close()
      const asked = performance.now()
      await assert.rejects(store.record('x'), unavailable(/ECONN|not connected/))
      await assert.rejects(store.write([output('away', 0, 'x')]), unavailable(/ECONN|not connected/))
      assert.ok(performance.now() - asked < 1_000)
      await server.restart()
      await answers()
    })

    it('rejects what is in flight when it ends, and does not send it again', async () => {
      await answers()
      server.pause()
      const writing = store.write([output('in-flight', 0, noise(100_000))])
      const rejected = assert.rejects(writing, unavailable(/./))
      await server.halt()
      await rejected
      await server.restart()
      await answers()
      assert.equal(await store.outputLength('in-flight'), 0)
    })

    it('answers reads within seconds while stopped, and waits with a batch for it to go on', async () => {
      await answers()
      server.pause()
      let written = false
      const writing = store.write([output('stopped', 0, 'hello')]).then(() => {
        written = true
      })
      const asked = performance.now()
      await assert.rejects(store.record('stopped'), unavailable(/no answer/))
      assert.ok(performance.now() - asked < 5_000)
      assert.equal(written, false)
      server.resume()
      await writing
      assert.equal(String(await store.output('stopped', 0, 10)), 'hello')
    })

    it('takes no pause of this process for silence', async () => {
      await answers()
      server.pause()
      const answer = Promise.all([
        store.begin(running('paused')),
        store.write([output('paused', 0, 'hello')]),
        store.outputLength('paused'),
      ])
      // They are on their way before this thread stands still.
      await sleep(50)
      // From an immediate on, timers are next, and only then what has arrived.
      await new Promise(setImmediate)
      server.resume()
      standStill(10_500)
      assert.deepEqual(await answer, [true, new Set(), 5])
    })

    it('gives a batch up that is not answered for long', async () => {
      await answers()
      server.pause()
      const asked = performance.now()
      await assert.rejects(store.write([output('silent', 0, 'hello')]), unavailable(/./))
      const waited = performance.now() - asked
      server.resume()
      assert.ok(waited > 9_000 && waited < 19_500, `${waited} ms`)
      await answers()
    })

    it('rejects while its memory is full, half-done nowhere', async () => {
      await answers()
      await store.begin(running('full', 'full-agent'))
      await server.with((redis) => redis.config('SET', 'maxmemory', '1'))
      await assert.rejects(store.write([{ kind: 'end', record: ended('full', 'full-agent') }]), unavailable(/OOM/))
      await assert.rejects(store.begin(running('full-2')), unavailable(/OOM/))
      await server.with((redis) => redis.config('SET', 'maxmemory', '0'))
      assert.equal(await server.with((redis) => redis.sismember('flux-agent:running:full-agent', 'full')), 1)
      await store.write([{ kind: 'end', record: ended('full', 'full-agent') }])
      assert.deepEqual(await store.record('full'), ended('full', 'full-agent'))
    })

    it('rejects while it is read-only', async () => {
      await answers()
      await server.with((redis) => redis.replicaof('127.0.0.1', 1))
      await assert.rejects(store.write([output('replica', 0, 'x')]), unavailable(/READONLY/))
      await server.with((redis) => redis.replicaof('NO', 'ONE'))
      // It connects anew: behind its address another Redis may have taken over.
      await eventually('the store takes writes', () => store.write([output('replica', 0, 'x')]).then(() => true))
    })
  })
})
