/**
 * Random faults under load, and what must hold nonetheless. By hand as long as wanted, from a known seed:
 *
 *     CHAOS_SECONDS=1800 CHAOS_STORE=redis CHAOS_SEED=4711 npm test -- chaos
 *
 * and `CHAOS_FAULTS="disk full,agent killed"` leaves only these of faults.ts.
 *
 * A seed decides the faults, when they come and how long they last; not what the agent is asked meanwhile, which follows
 * from its answers, nor what becomes of it. What is violated is printed with the seed of that life of the agent.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { noRedis } from '../../harness/redis.js'
import { campaign } from './campaign.js'

const SECONDS = Number(process.env['CHAOS_SECONDS'] ?? (process.env['CI'] ? 30 : 3))
const SEED = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31))
const STORE = process.env['CHAOS_STORE']

describe('an agent under random faults', { skip: process.platform !== 'linux' }, () => {
  for (const store of ['redis', 'embedded'] as const) {
    const skip = STORE !== undefined && STORE !== store ? 'another store is asked for' : store === 'redis' && noRedis
    it(`keeps its promises, ${store}`, { skip: skip || false, timeout: (SECONDS + 300) * 1000 }, async (t) => {
      t.diagnostic(`CHAOS_SEED=${SEED}`)
      const { executions, faults, rounds, answers, reports } = await campaign(store, SEED, SECONDS)
      t.diagnostic(`${executions} executions, ${faults} faults, ${rounds} rounds\n${answers}`)
      assert.equal(reports.length, 0, reports.join('\n\n'))
      assert.ok(executions > 0 && faults > 0)
    })
  }
})
