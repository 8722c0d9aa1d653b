import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { findPublicIp } from '../../src/host/public-ip.js'
import { service } from './service.js'

const LEFT_OUT: readonly [what: string, listener: RequestListener][] = [
  ['rubbish', (_request, response) => response.end('<html>198.51.100.9</html>')],
  ['nothing', (_request, response) => response.end()],
  ['an error', (_request, response) => response.writeHead(503).end('198.51.100.9')],
  ['half an answer', (_request, response) => response.writeHead(200, { 'content-length': '50' }).write('198.')],
]
for (const [what, listener] of LEFT_OUT) {
  test(`a service that answers ${what} leaves the public address out`, async (t) => {
    const url = await service(t, listener)
    assert.equal(await findPublicIp(url, AbortSignal.timeout(300)), undefined)
  })
}

test('a service that never answers is given up after the timeout', { timeout: 5000 }, async (t) => {
  const url = await service(t, () => {})
  const start = Date.now()
  assert.equal(await findPublicIp(url, AbortSignal.timeout(300)), undefined)
  assert.ok(Date.now() - start >= 290)
})

test('a service that refuses the connection leaves the public address out', async () => {
  assert.equal(await findPublicIp('http://127.0.0.1:1/', AbortSignal.timeout(5000)), undefined)
})

test('an abort gives up at once', { timeout: 5000 }, async (t) => {
  const url = await service(t, () => {})
  const aborting = new AbortController()
  const found = findPublicIp(url, aborting.signal)
  aborting.abort()
  assert.equal(await found, undefined)
})
