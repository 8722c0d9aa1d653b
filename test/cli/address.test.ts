import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { isNear, parseAddress } from '../../src/cli/address.js'
import { runCli } from '../support/cli.js'

test('a host and a port, or one sentence that says what is wrong', () => {
  for (const [address, host, port] of [
    ['10.0.0.5:50052', '10.0.0.5', 50052],
    ['node-1.example:1', 'node-1.example', 1],
    ['[fd00::5]:65535', 'fd00::5', 65535],
  ] as const)
    assert.deepEqual(parseAddress(address), { host, port })
  for (const [address, problem] of [
    ['http://10.0.0.5:50052', 'is a URL: leave out http://, as in 10.0.0.5:50052'],
    ['10.0.0.5:99999', 'has port 99999: allowed are 1 to 65535'],
    ['10.0.0.5:0', 'has port 0: allowed are 1 to 65535'],
    ['fd00::5', 'has no port: write [fd00::5]:50052'],
    ['[node]:50052', 'has no IPv6 address in its brackets'],
    ['localhost', 'is not HOST:PORT, as in 10.0.0.5:50052 or [fd00::5]:50052'],
    ['unix:/run/agent:1', 'is not HOST:PORT, as in 10.0.0.5:50052 or [fd00::5]:50052'],
    ['two words:1', 'is not HOST:PORT, as in 10.0.0.5:50052 or [fd00::5]:50052'],
    ['', 'is not HOST:PORT, as in 10.0.0.5:50052 or [fd00::5]:50052'],
  ] as const)
    assert.throws(() => parseAddress(address), { message: `address "${address}" ${problem}` })
})

test('a name that nobody knows, and a path that leads nowhere', async () => {
  const { stderr } = await runCli(['status', '--address', 'no-such-node.invalid:50052'])
  assert.equal(
    stderr,
    'flux-agent: no machine is known here by the name in no-such-node.invalid:50052: correct the address, or the DNS\n',
  )
  const deploy = await runCli(['deploy', 'f', '/no/such/folder'])
  assert.equal(deploy.stderr, 'flux-agent: cannot read /no/such/folder: there is no such file or folder\n')
})

test('what is near is reached without a proxy', () => {
  const near = ['127.0.0.1', '127.9.9.9', '10.1.2.3', '172.31.0.1', '192.168.0.1', '169.254.1.1', '100.64.0.1', '::1']
  for (const host of [...near, 'fd00::5', 'fe80::1', 'localhost', 'node-1', 'node.internal', 'node.local'])
    assert.ok(isNear(host), host)
  for (const host of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2001:db8::1', 'agents.example.com'])
    assert.ok(!isNear(host), host)
})

test('the proxy of the environment is not asked for an agent of this machine', async () => {
  const agent = await startTestAgent()
  const proxies = {
    http_proxy: 'http://127.0.0.1:9',
    https_proxy: 'http://127.0.0.1:9',
    grpc_proxy: 'http://127.0.0.1:9',
  }
  const { code, stderr } = await runCli(['status', '--address', `127.0.0.1:${agent.port}`], { env: proxies })
  assert.deepEqual([code, stderr], [0, ''])
  await agent.stop()
  const gone = await runCli(['status', '--address', '203.0.113.1:50052'], { env: proxies })
  assert.match(gone.stderr, /^flux-agent: [^\n]*203\.0\.113\.1:50052[^\n]*\n$/)
  assert.doesNotMatch(gone.stderr, /undefined/)
})
