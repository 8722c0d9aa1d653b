import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type TestContext, test } from 'node:test'
import { firstIpv4, nodeAddresses } from '../../src/host/node-addresses.js'

/** A service that answers as `listener` does; its URL. */
async function service(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('configured addresses are used as they are, and nobody is asked', async (t) => {
  let asked = 0
  const url = await service(t, (_request, response) => {
    asked++
    response.end('198.51.100.9')
  })
  const addresses = nodeAddresses({ privateIp: '10.0.0.5', publicIp: '203.0.113.5' }, { url, timeoutMs: 5000 })
  await addresses.settled
  assert.equal(addresses.privateIp, '10.0.0.5')
  assert.equal(addresses.publicIp, '203.0.113.5')
  assert.equal(asked, 0)
})

test('the public address fills in once the service answers', async (t) => {
  let answer = () => {}
  const url = await service(t, (_request, response) => {
    answer = () => response.end('198.51.100.9\n')
    started()
  })
  let started = () => {}
  const asked = new Promise<void>((resolve) => {
    started = resolve
  })
  const addresses = nodeAddresses({}, { url, timeoutMs: 5000 })
  await asked
  assert.equal(addresses.publicIp, undefined)
  answer()
  await addresses.settled
  assert.equal(addresses.publicIp, '198.51.100.9')
})

const LEFT_OUT: readonly [what: string, listener: RequestListener][] = [
  ['rubbish', (_request, response) => response.end('<html>198.51.100.9</html>')],
  ['nothing', (_request, response) => response.end()],
  ['an error', (_request, response) => response.writeHead(503).end('198.51.100.9')],
  ['half an answer', (_request, response) => response.writeHead(200, { 'content-length': '50' }).write('198.')],
]
for (const [what, listener] of LEFT_OUT) {
  test(`a service that answers ${what} leaves the public address out`, async (t) => {
    const addresses = nodeAddresses({}, { url: await service(t, listener), timeoutMs: 300 })
    await addresses.settled
    assert.equal(addresses.publicIp, undefined)
  })
}

test('a service that never answers is given up after the timeout', { timeout: 5000 }, async (t) => {
  const url = await service(t, () => {})
  const start = Date.now()
  const addresses = nodeAddresses({}, { url, timeoutMs: 300 })
  await addresses.settled
  assert.ok(Date.now() - start >= 290)
  assert.equal(addresses.publicIp, undefined)
})

test('a service that refuses the connection leaves the public address out', async () => {
  const addresses = nodeAddresses({}, { url: 'http://127.0.0.1:1/', timeoutMs: 5000 })
  await addresses.settled
  assert.equal(addresses.publicIp, undefined)
})

test('close gives up at once', { timeout: 5000 }, async (t) => {
  const url = await service(t, () => {})
  const addresses = nodeAddresses({}, { url, timeoutMs: 60_000 })
  addresses.close()
  await addresses.settled
  assert.equal(addresses.publicIp, undefined)
})

test('the private address is the first IPv4 that is not loopback', () => {
  const common = { netmask: '', mac: '', cidr: null }
  const v4 = (address: string, internal: boolean) => ({ family: 'IPv4' as const, address, internal, ...common })
  const v6 = { family: 'IPv6' as const, address: 'fd00::1', internal: false, scopeid: 0, ...common }
  const interfaces = { lo: [v4('127.0.0.1', true)], eth0: [v6, v4('10.0.0.7', false)], eth1: [v4('10.0.0.8', false)] }
  assert.equal(firstIpv4(interfaces), '10.0.0.7')
  assert.equal(firstIpv4({ lo: interfaces.lo, eth0: [v6] }), undefined)
})

test('without configuration the private address is one of this machine', async () => {
  const addresses = nodeAddresses({ publicIp: '203.0.113.5' })
  const own = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? [])
  if (addresses.privateIp === undefined) assert.ok(own.every((address) => /^127\.|:/.test(address)))
  else assert.ok(own.includes(addresses.privateIp))
})
