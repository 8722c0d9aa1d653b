import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { StartRefused } from '../../../src/host/start-refused.js'
import { createLog } from '../../../src/log/log.js'
import { Identity } from '../../../src/main/store/identity.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { standStill } from '../../support/stand-still.js'

const LEASE_MS = 1_500
const log = createLog('silent')

describe('the name of an agent', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  let store: RedisStore
  const kept: Identity[] = []

  before(async () => {
    server = await RedisServer.start()
    store = new RedisStore(server.address)
  })
  afterEach(async () => {
    for (const identity of kept.splice(0)) await identity.release()
    await server.with((redis) => redis.flushall())
  })
  after(async () => {
    await store.close()
    await server.stop()
  })

  const agent = (stateDir = makeTempDir('flux-identity-'), renewMs = 100) => {
    const times = { leaseMs: LEASE_MS, renewMs }
    const identity = new Identity({ agentId: 'node-1', stateDir, file: '/etc/agent.yaml', store, log, times })
    kept.push(identity)
    return identity
  }
  const claimed = async (identity: Identity) => {
    const waited: string[] = []
    await identity.claim((why) => waited.push(why))
    identity.keep()
    return waited
  }
  const key = 'flux-agent:agent:node-1'

  it('is held as long as it is kept, and free once it is released', async () => {
    const first = agent()
    assert.deepEqual(await claimed(first), [])
    await assert.rejects(
      agent().claim(() => {}),
      (error: Error) => {
        assert.ok(error instanceof StartRefused)
        assert.match(
          error.message,
          /^\/etc\/agent\.yaml: agent_id: node-1 is held by the agent on \S+, process \d+, since 2\S+, which is alive; stop/,
        )
        return true
      },
    )
    await first.release()
    assert.equal(await server.with((redis) => redis.exists(key)), 0)
    assert.deepEqual(await claimed(agent()), [])
  })

  it('of one that has died is taken when its lease has run out, and by its own next run at once', async () => {
    const stateDir = makeTempDir('flux-identity-')
    // It is claimed and never kept.
    await agent(stateDir).claim(assert.fail)
    await agent(stateDir).claim(assert.fail)
    const asked = performance.now()
    const [waited] = await claimed(agent())
    assert.match(waited ?? '', /^node-1 is held by the agent on .*: its lease ends in [12] s$/)
    assert.ok(performance.now() - asked > LEASE_MS / 4)
  })

  it('that a Redis without its data has forgotten is taken again', async () => {
    await claimed(agent())
    await server.with((redis) => redis.flushall())
    await eventually('it is there', () => server.with((redis) => redis.exists(key)))
  })

  it('that another has taken meanwhile is lost until it is free', async () => {
    const identity = agent()
    await claimed(identity)
    assert.equal(await identity.act(async () => 'done'), 'done')
    await server.with((redis) => redis.set(key, '{"some":"holder"}'))
    await eventually('it is lost', () => identity.lost)
    assert.match(identity.problems[0] ?? '', /node-1 is held by an agent of another kind meanwhile/)
    await assert.rejects(
      identity.act(async () => 'done'),
      /is held by/,
    )
    await server.with((redis) => redis.del(key))
    await eventually('it is back', () => identity.lost === undefined)
  })

  it('is looked at again after a pause, before anything is done in it', async () => {
    // It would be renewed too late.
    const identity = agent(undefined, 60_000)
    await claimed(identity)
    await server.with((redis) => redis.set(key, 'another'))
    assert.equal(await identity.act(async () => 'done'), 'done')
    standStill(LEASE_MS + 100)
    await assert.rejects(
      identity.act(async () => 'done'),
      /is held by/,
    )
  })

  it('stays, while the store is away', async () => {
    const identity = agent()
    await claimed(identity)
    await server.halt()
    standStill(LEASE_MS + 100)
    assert.equal(await identity.act(async () => 'done'), 'done')
    await server.restart()
    await eventually('it is there again', () => server.with((redis) => redis.exists(key)))
    assert.equal(identity.lost, undefined)
  })

  it('says for how long nobody can, where a holder has no end', async () => {
    await server.with((redis) => redis.set(key, 'x'))
    await assert.rejects(
      agent().claim(() => {}),
      /held by an agent of another kind, which is alive/,
    )
  })
})
