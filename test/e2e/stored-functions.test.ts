import assert from 'node:assert/strict'
import { it } from 'node:test'
import { scriptZip } from '../support/apps.js'
import { type AgentSuiteOptions, describeAgent } from '../support/describe-agent.js'

/** As others may have stored them, by name. */
const STORED: Readonly<Record<string, object>> = {
  good: { Handler: 'main.sh', Resources: { CPU: 500, Memory: 0 } },
  cores: { Handler: 'main.sh', Resources: { CPU: 1, Memory: 0 } },
  outside: { Handler: '../main.sh' },
  absolute: { Handler: '/bin/sh' },
  endless: { Handler: 'main.sh', Timeout: 9e15 },
  huge: { Handler: 'main.sh', Resources: { CPU: 0, Memory: 2 ** 40 } },
  negative: { Handler: 'main.sh', MaxConcurrency: -1 },
  secret: { Handler: 'main.sh', Env: { 'A=B': 'x' } },
  '../name': { Handler: 'main.sh' },
}
const REFUSED: Readonly<Record<string, RegExp>> = {
  outside: /function outside: handler "\.\.\/main\.sh" is not allowed; allowed: a relative path/,
  absolute: /function absolute: handler "\/bin\/sh" is not allowed/,
  endless: /function endless: timeout_seconds 9000000000000000 is not allowed; allowed: 0/,
  huge: /function huge: memory_mb 1099511627776 is not allowed/,
  negative: /MaxConcurrency: /,
  secret: /function secret: env name "A=B" is not allowed/,
  '../name': /function name "\.\.\/name" is not allowed/,
}

const FOUND = Object.fromEntries(
  Object.entries(STORED).map(([name, fields]) => [`agent:function:${name}`, JSON.stringify({ Name: name, ...fields })]),
)
const options: AgentSuiteOptions<'redis'> = {
  store: 'redis',
  skip: process.platform === 'win32' && 'not on Windows',
  beforeStart: (redis) => redis.with((client) => client.mset(FOUND)),
}

describeAgent('stored functions', options, ({ agent, calls }) => {
  for (const [name, why] of Object.entries(REFUSED)) {
    it(`are not loaded as ${name}, which one line tells, and what to do`, async () => {
      assert.equal((await calls.deploy(name, scriptZip('echo x'))).message, 'function not registered')
      assert.equal((await calls.execute({ function_name: name })).error, 'function not found')
      const lines = agent
        .logs()
        .split('\n')
        .filter((line) => {
          const { msg, why: reason = '', function: subject = '' } = line === '' ? {} : JSON.parse(line)
          return why.test(`${msg} ${reason}`) && `${msg} ${subject}`.includes(name)
        })
      assert.equal(lines.length, 1, agent.logs())
      assert.match(lines[0] ?? '', /register it again/)
    })
  }

  it('are loaded where others have stored them so, with a warning where that is surely not meant', async () => {
    for (const name of ['good', 'cores']) {
      assert.equal((await calls.deploy(name, scriptZip(`echo ${name}`))).success, true)
      assert.equal((await calls.execute({ function_name: name })).output.toString(), `${name}\n`)
    }
    const lines = agent.logs().split('\n')
    assert.ok(lines.some((line) => line.includes('function cores: cpu_millicores 1 is not enforced')))
    assert.ok(!lines.some((line) => line.includes('function good:')))
  })
})
