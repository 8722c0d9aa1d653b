import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { examine } from '../cli/doctor/examine.js'
import { agentFor } from '../support/describe-agent.js'

describe('a store that refuses what an agent needs', { skip: noRedis ?? false }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await RedisServer.start()
    await redis.with((client) => client.acl('SETUSER', 'flux', 'on', '>pw', '~*', '+@all'))
  })
  after(() => redis.stop())

  const address = () => `redis://flux:pw@127.0.0.1:${redis.port}`
  const allow = (rule: string) => redis.with((client) => client.acl('SETUSER', 'flux', rule))
  /** What the last line of an agent that is expected not to start says. */
  const refusal = async (redisAddr: string) => {
    const error = await startTestAgent({ config: { redis_addr: redisAddr } }).then(
      () => assert.fail('it has started'),
      (failure: Error) => failure,
    )
    const [last = ''] = error.message.trim().split('\n').slice(-1)
    assert.ok(!error.message.includes(':pw@'))
    return last
  }

  it('ends the start with one sentence, and doctor says the same', async () => {
    await allow('-@scripting')
    const sentence =
      /NOPERM this user has no permissions to run the 'eval' command; let its user do that: ACL SETUSER flux \+eval/
    assert.match(await refusal(address()), new RegExp(`agent\\.yaml: redis_addr: Redis at .*${sentence.source}`))
    const { code, find } = await examine({ redis_addr: address() })
    assert.equal(code, 1)
    assert.match(`${find('store')?.message}; ${find('store')?.fix}`, sentence)
    await allow('+@scripting')
  })

  it('ends the start on a replica that stays one', async () => {
    await redis.with((client) => client.replicaof('127.0.0.1', 1))
    assert.match(await refusal(address()), /READONLY.*; it is a replica: give the address of its primary/)
    await redis.with((client) => client.replicaof('NO', 'ONE'))
  })

  it('is told as such while the agent runs, and what it refused is stored once it does not', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { redis_addr: address(), workers: 1 } })
    await calls.script('hello', 'echo hello')
    await allow('-setrange')
    const id = await calls.start('hello')
    const refused = await eventually('it is logged', () =>
      agent
        .logs()
        .split('\n')
        .find((line) => line.includes('no retry will help')),
    )
    assert.match(refused, /"level":50,.*'setrange' command; let its user do that: ACL SETUSER flux \+setrange/)
    await eventually('it is in the status', async () =>
      /'setrange' command; let its user do that/.test((await calls.health()).problems.join()),
    )
    await allow('+setrange')
    await eventually('it is so no more', async () => (await calls.health()).problems.length === 0)
    await eventually('all is stored', async () => {
      const [record, output] = await redis.with((client) => client.mget(`flux:exec:${id}`, `flux:exec-output:${id}`))
      return output === 'hello\n' && record?.includes('"success"') && !record.includes('lost')
    })
  })
})
