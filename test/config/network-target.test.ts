import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { networkTargetText, readNetworkTarget } from '../../src/config/network-target.js'

describe('a target of network.deny', () => {
  it('is an address, a net, a port, or a port of either', () => {
    const four = { family: 4, address: '10.0.0.0', bits: 8 } as const
    const six = { family: 6, address: 'fd00::1', bits: 128 } as const
    for (const [text, target] of [
      ['10.0.0.0/8', { net: four }],
      ['10.0.0.0', { net: { ...four, bits: 32 } }],
      ['0.0.0.0/0', { net: { family: 4, address: '0.0.0.0', bits: 0 } }],
      ['fd00::1', { net: six }],
      ['fd00::1/64', { net: { ...six, bits: 64 } }],
      ['1', { port: 1 }],
      ['65535', { port: 65_535 }],
      ['10.0.0.0:25', { net: { ...four, bits: 32 }, port: 25 }],
      ['10.0.0.0/8:25', { net: four, port: 25 }],
      ['[fd00::1]:25', { net: six, port: 25 }],
      ['[fd00::1/64]:25', { net: { ...six, bits: 64 }, port: 25 }],
    ] as const) {
      assert.deepEqual(readNetworkTarget(text), target)
      assert.equal(networkTargetText(target), text)
    }
  })

  it('is nothing else', () => {
    for (const text of [
      ...['', '0', '65536', '-1', '25-30', 'ssh', 'localhost', 'redis:6379', '*', '*:25', ':25', '10.0.0', '010.0.0.1'],
      ...['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8:', '10.0.0.0/8:0', '10.0.0.0/8:99999', '[10.0.0.1]:25'],
      ...['fd00::/129', 'fd00::1:25/x', '[fd00::1]', '[fd00::1]:', '[fd00::1', 'fe80::1%eth0', '::ffff:10.0.0.1'],
      ...['10.0.0.1 ', '10.0.0.1; flush ruleset', '10.0.0.1,10.0.0.2', '{ 10.0.0.1 }', '10.0.0.1-10.0.0.9'],
    ])
      assert.equal(readNetworkTarget(text), undefined, text)
  })
})
