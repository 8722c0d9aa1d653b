import assert from 'node:assert/strict'
import { chmodSync } from 'node:fs'
import { it } from 'node:test'
import { Collector, guardedCollector } from '../../support/collector.js'
import { examine } from './examine.js'

it('doctor tells whether a collector takes spans', async () => {
  const collector = new Collector()
  const port = await collector.listen()
  const endpoint = `http://127.0.0.1:${port}`
  const traces = async () => {
    const { level, message } = (await examine({ traces: { endpoint } })).find('traces') ?? assert.fail('no line')
    return [level, message]
  }
  assert.deepEqual(await traces(), ['ok', `${endpoint}/v1/traces takes spans`])
  collector.status = 404
  assert.deepEqual(await traces(), ['warn', `${endpoint}/v1/traces takes no spans (HTTP 404)`])
  collector.close()
  assert.deepEqual(await traces(), ['warn', `${endpoint}/v1/traces takes no spans (ECONNREFUSED)`])
})

it('doctor tells what keeps a collector with credentials from taking them', async () => {
  const { collector, keys } = await guardedCollector()
  const endpoint = `https://127.0.0.1:${await collector.listen()}/v1/traces`
  const { headers_file, ...tls } = keys
  const found = async (traces: object) => {
    const { findings } = await examine({ traces: { endpoint, ...traces } })
    return findings.filter(({ subject }) => /traces|config|key/.test(subject)).map(({ message }) => message)
  }
  const [, traces] = await found(keys)
  assert.equal(traces, `${endpoint} takes spans`)
  assert.match(
    (await found(tls)).join('\n'),
    /takes no spans \(HTTP 401; give its credentials in traces\.headers_file\)/,
  )
  chmodSync(headers_file, 0o644)
  assert.match((await found(keys)).join('\n'), /others than its owner may read \S+headers$/m)
  collector.close()
})
