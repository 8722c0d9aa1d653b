import assert from 'node:assert/strict'
import { it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { issueAgent, makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { answer, openConnection } from '../../src/cli/connection.js'
import { describeAgent } from '../support/describe-agent.js'
import { mutualTls, statusOf } from '../support/flux-client.js'
import { type LogLine, linesOf } from '../support/log-lines.js'

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }

const { authority, agent: identity, flux } = await makeCertificates()
const stranger = await issueAgent(authority, { subject: 'CN=stranger', san: [{ type: 'dns', value: 'stranger' }] })
const { caCert, certFile, keyFile } = writeAgentFiles(makeTempDir('flux-log-'), authority, identity)
const options = {
  store: 'redis',
  // Both families, so that an IPv4 address is seen as IPv6 shows it.
  config: { host: undefined, log_level: 'debug', tls: { ca_cert: caCert, cert_file: certFile, key_file: keyFile } },
  credentials: mutualTls(authority.cert, flux),
} as const

describeAgent('the log', options, ({ agent, calls, redis }) => {
  it('has one line for each event, at its level', async () => {
    const all = () => linesOf(agent.logs())
    const line = (what: string, is: (found: LogLine) => boolean) => eventually(what, () => all().find(is), 30)
    const said = (message: string) => (found: LogLine) => found.msg.startsWith(message)

    await calls.script('hello', 'echo hello')
    const id = await calls.start('hello')
    await calls.ended(id)

    const refusedBy = (port: number, host: string) => {
      const { agent: client, close } = openConnection(`${host}:${port}`, mutualTls(authority.cert, stranger))
      return statusOf(new Calls(client).health()).finally(close)
    }
    for (let times = 0; times < 3; times++) assert.equal(await refusedBy(agent.port, '127.0.0.1'), 'PERMISSION_DENIED')

    const { operations } = agent
    await answer((call, done) => operations.drain({}, call, done))
    await answer((call, done) => operations.resume({}, call, done))

    await redis.halt(true)
    await calls.start('hello')
    await line('the store is away', said('store is away'))
    await redis.restart()
    await line('the store is back', said('store is back'))

    const { peer } = await line('a caller is refused', said('refused: caller "stranger"'))
    assert.match(String(peer), /^127\.0\.0\.1:\d+$/)
    const events = [
      ['info', 'function deployed', { function: 'hello' }],
      ['debug', 'execution accepted', { function: 'hello', execution: id }],
      ['debug', 'execution started', { function: 'hello', execution: id }],
      ['debug', 'execution ended', { function: 'hello', execution: id }],
      ['warn', 'refused: caller "stranger"', {}],
      ['info', 'draining', {}],
      ['info', 'resumed', {}],
      ['warn', 'store is away', { store: redis.address }],
      ['info', 'store is back', { store: redis.address }],
    ] as const
    for (const [level, message, fields] of events) {
      const found = all().filter(
        (candidate) =>
          candidate.msg.startsWith(message) &&
          Object.entries(fields).every(([name, value]) => candidate[name] === value),
      )
      assert.deepEqual(
        found.map((one) => LEVELS[one.level]),
        [level],
        message,
      )
    }
  })
})
