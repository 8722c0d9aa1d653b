import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { Collector as Sender } from '../../../src/main/tracing/collector.js'
import { Collector, guardedCollector } from '../../support/collector.js'

const NONE = '{"resourceSpans":[]}'

async function collectorFor(t: TestContext) {
  const collector = new Collector()
  t.after(() => collector.close())
  const sender = new Sender({ endpoint: `http://127.0.0.1:${await collector.listen()}/v1/traces` })
  t.after(() => sender.close())
  return { collector, sender }
}

describe('a collector with credentials', () => {
  it('takes spans with its header and certificate, and says which is missing', async (t) => {
    const { collector, keys } = await guardedCollector()
    t.after(() => collector.close())
    const endpoint = `https://127.0.0.1:${await collector.listen()}/v1/traces`
    const tls = { caCert: keys.ca_cert, certFile: keys.cert_file, keyFile: keys.key_file }
    const told = async (config: object) => {
      const sender = new Sender({ endpoint, ...config })
      t.after(() => sender.close())
      return sender.send(NONE)
    }
    assert.deepEqual(await told({ ...tls, headersFile: keys.headers_file }), { kind: 'taken' })
    const hint = 'HTTP 401; give its credentials in traces.headers_file'
    assert.deepEqual(await told(tls), { kind: 'refused', cause: hint })
    const untrusted = await told({ headersFile: keys.headers_file })
    assert.match(JSON.stringify(untrusted), /^\{"kind":"away","cause":"[^"]*certificate[^"]*traces\.ca_cert"\}$/)
    const unknown = await told({ caCert: keys.ca_cert })
    assert.match(JSON.stringify(unknown), /^\{"kind":"away","cause":"[^"]*certificate required[^"]*traces\.cert_file/)
  })

  it('is sent renewed headers, and told of those that cannot be read', async (t) => {
    const { collector, keys } = await guardedCollector()
    t.after(() => collector.close())
    const endpoint = `https://127.0.0.1:${await collector.listen()}/v1/traces`
    const file = keys.headers_file
    const sender = new Sender({
      endpoint,
      headersFile: file,
      caCert: keys.ca_cert,
      certFile: keys.cert_file,
      keyFile: keys.key_file,
    })
    t.after(() => sender.close())
    assert.equal((await sender.send(NONE)).kind, 'taken')
    collector.authorization = 'Bearer renewed'
    assert.equal((await sender.send(NONE)).kind, 'refused')
    writeFileSync(file, 'authorization: Bearer renewed\n')
    assert.equal((await sender.send(NONE)).kind, 'taken')
    assert.equal(collector.connections, 1)
    rmSync(file)
    assert.deepEqual(await sender.send(NONE), { kind: 'away', cause: `${file} cannot be read (ENOENT)` })
  })
})

describe('a collector', () => {
  it('may close a connection between two requests', async (t) => {
    const { collector, sender } = await collectorFor(t)
    for (let times = 0; times < 20; times++) {
      assert.equal((await sender.send(NONE)).kind, 'taken')
      // The next request is under way before this is known.
      collector.closeIdle()
    }
  })

  it('may ask to be left alone for a while', async (t) => {
    const { collector, sender } = await collectorFor(t)
    collector.status = 429
    assert.deepEqual(await sender.send(NONE), { kind: 'away', cause: 'HTTP 429' })
    collector.headers = { 'retry-after': '7' }
    assert.deepEqual(await sender.send(NONE), { kind: 'away', cause: 'HTTP 429', pauseMs: 7_000 })
    collector.headers = { 'retry-after': '1000000' }
    assert.deepEqual(await sender.send(NONE), { kind: 'away', cause: 'HTTP 429', pauseMs: 300_000 })
    collector.headers = { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }
    assert.deepEqual(await sender.send(NONE), { kind: 'away', cause: 'HTTP 429' })
  })

  it('that hangs is left when the agent stops', async (t) => {
    const { collector, sender } = await collectorFor(t)
    collector.status = undefined
    const closing = new AbortController()
    setTimeout(() => closing.abort(), 50)
    assert.equal((await sender.send(NONE, closing.signal)).kind, 'away')
    collector.status = 200
    assert.equal((await sender.send(NONE)).kind, 'taken')
  })
})
