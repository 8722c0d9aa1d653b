import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { firstIpv4, nodeAddresses } from '../../src/host/node-addresses.js'
import { service } from './service.js'

test('configured addresses are used as they are, and nobody is asked', async (t) => {
  let asked = 0
  const url = await service(t, (_request, response) => {
    asked++
    response.end('198.51.100.9')
  })
  const addresses = nodeAddresses({ privateIp: '10.0.0.5', publicIp: '203.0.113.5' }, { url, timeoutMs: 5000 })
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
  assert.equal(await eventually('it is known', () => addresses.publicIp), '198.51.100.9')
  assert.equal(addresses.variables['FLUX_NODE_PUBLIC_IP'], '198.51.100.9')
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
