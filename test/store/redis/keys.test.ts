import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { FREE_PORT, noRedis, RedisServer } from '../../../harness/redis.js'
import { CLUSTER_KEYS } from '../../../src/store/redis/keys.js'
import { SLOTS, slotOf, tagOf } from '../../../src/store/redis/slots.js'

const IDS = ['exc-5d9f', 'a{b}c', '{a}', '{}', 'a}b', 'a{b', '}{', '{{a}}', 'x{}{y}', '{a}{b}', '{', '}', 'a{}b}c{d}']

describe('keys in a cluster', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  before(async () => {
    server = await RedisServer.start('--cluster-enabled', 'yes', '--cluster-port', FREE_PORT)
  })
  after(() => server.stop())

  it('of an execution are in one slot, the one that Redis says, whatever is in its id', async () => {
    const names = new Set<string>()
    for (const id of IDS) {
      const keys = [
        CLUSTER_KEYS.record(id),
        CLUSTER_KEYS.output(id),
        CLUSTER_KEYS.gaps(id),
        CLUSTER_KEYS.running('ä{}', id),
      ]
      const slots = await server.with((redis) => Promise.all(keys.map((key) => redis.cluster('KEYSLOT', key))))
      assert.deepEqual(slots, keys.map(slotOf), id)
      assert.equal(new Set(slots).size, 1, id)
      for (const key of keys.slice(0, 3)) names.add(key)
    }
    assert.equal(names.size, 3 * IDS.length)
  })

  it('have a name for each slot', () => {
    const running = CLUSTER_KEYS.allRunning('agent-1')
    assert.equal(running.length, SLOTS)
    for (const [slot, key] of running.entries()) assert.equal(slotOf(key), slot)
    for (const slot of [0, 1, SLOTS - 1]) assert.equal(slotOf(tagOf(slot)), slot)
  })

  it('are as before for readers: the id of a usual execution is in the name of its output', () => {
    assert.equal(CLUSTER_KEYS.output('exc-1'), 'flux-agent:output:{flux:exec:exc-1}')
  })
})
