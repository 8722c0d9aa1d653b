import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { it } from 'node:test'
import { foreignHost } from '../../../src/main/http/allowed-hosts.js'

const foreign = foreignHost(['node-1.example', '.below.example'])

it('a node is called by its addresses and names, with or without a port', () => {
  const own = [
    undefined,
    '127.0.0.1',
    '10.0.0.5:9464',
    '[::1]',
    '[fd00::1]:9464',
    'localhost',
    'LOCALHOST:1',
    'a.localhost',
  ]
  const given = ['node-1.example', 'Node-1.Example.:9464', 'a.below.example', 'b.a.below.example:80']
  for (const host of [...own, hostname(), `${hostname().toUpperCase()}:9464`, ...given])
    assert.equal(foreign(host), undefined, host)
})

it('every other name is foreign', () => {
  const near = ['xnode-1.example', 'node-1.example.evil', 'below.example', 'xbelow.example', 'xlocalhost']
  const odd = [
    '',
    ':80',
    '127.0.0.1.evil',
    '127.1',
    '0x7f.1',
    '2130706433',
    '[evil]',
    '[127.0.0.1]',
    '[::1',
    '::1',
    '[::1]evil',
    'localhost:80:80',
  ]
  const within = ['localhost/evil', 'evil@localhost', 'localhost evil', 'localhost\tevil', '127.0.0.1,evil']
  for (const host of [...near, ...odd, ...within, `${hostname()}.evil`]) assert.equal(foreign(host), host)
})

it('a name that is told of is not longer than names are', () => {
  assert.equal(foreign('x'.repeat(1000))?.length, 253)
})
