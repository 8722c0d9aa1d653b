import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent } from '../../../harness/agent.js'
import { Calls } from '../../../harness/calls.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { examine } from '../../cli/doctor/examine.js'
import { documentedUser, refusalsOf, setDocumentedUser } from './documented-user.js'

describe('a user of Redis with no more than it needs', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  /** Of the agent; another one's would wait for the end of its lease. */
  let dir: string | undefined
  before(async () => {
    server = await RedisServer.start()
  })
  after(() => server.stop())

  const address = () => server.address.replace('//', '//flux-agent:secret@')
  const setUser = (...rules: readonly string[]) => setDocumentedUser(server, ...rules)

  /** Everything that an agent does with its store, the second time after one that was killed. */
  async function run(): Promise<string> {
    const agent = await startTestAgent({ config: { redis_addr: address(), workers: 1 }, ...(dir && { dir }) })
    const calls = new Calls(agent.client)
    try {
      if (!dir) await calls.script('hello', 'echo hello; [ "$1" ] && sleep 60')
      const id = await calls.start('hello')
      assert.equal((await calls.ended(id)).output, 'hello\n')
      const left = await calls.start('hello', ['stay'])
      await calls.printed(left, 'hello')
      await eventually('it is stored', () => server.with((redis) => redis.get(`flux:exec-output:${left}`)))
      dir = agent.dir
      return agent.logs()
    } finally {
      await agent.kill()
    }
  }

  it('has what the document gives it, and is refused nothing', async () => {
    await setUser()
    await run()
    await run()
    const { find } = await examine({ redis_addr: address() })
    assert.equal(find('store')?.level, 'ok', find('store')?.message)
    assert.deepEqual(await refusalsOf(server), [])
  })

  it('has nothing that it does not need', async () => {
    await setUser()
    const given = documentedUser().flatMap((rule) => (rule.startsWith('+') ? [rule.slice(1)] : []))
    // INFO and SCAN are for warnings and for functions whose code is elsewhere.
    for (const command of given.filter((name) => name !== 'info' && name !== 'scan')) {
      await setUser(`-${command}`)
      const store = new RedisStore(address())
      await assert.rejects(store.probe(), { fix: `let its user do that: ACL SETUSER flux-agent +${command}` })
      await store.close()
    }
  })

  it('is told by doctor what is missing without SCAN; a start then loads functions whose code is here', async () => {
    await setUser()
    await run()
    await server.with((redis) => redis.set('agent:function:elsewhere', '{}'))
    await setUser('-scan', '-info')
    const { findings } = await examine({ redis_addr: address() })
    const found = findings.filter(({ subject }) => subject === 'store')
    assert.deepEqual(
      found.map(({ level }) => level),
      ['ok', 'warn'],
    )
    assert.match(found[1]?.message ?? '', /NOPERM.*'scan'.*: a start loads only those stored functions whose code is/)
    assert.equal(found[1]?.fix, 'let its user do that: ACL SETUSER flux-agent +scan')
    assert.match(await run(), /NOPERM[^\n]*'scan'[^\n]*: a start loads only those stored functions whose code is/)
  })

  it('and a policy that drops records are told apart', async () => {
    await setUser()
    await server.with((redis) => redis.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'volatile-lru'))
    const said = async () =>
      (await examine({ redis_addr: address() })).findings.filter(
        ({ subject, level }) => subject === 'store' && level !== 'ok',
      )
    const expected = /its maxmemory-policy is volatile-lru: with its memory full it drops records and output/
    assert.match((await said())[0]?.message ?? '', expected)
    await setUser('-info', '+config|get')
    assert.match((await said())[0]?.message ?? '', expected)
    await setUser('-info')
    assert.deepEqual(await said(), [])
  })
})
