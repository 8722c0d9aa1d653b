import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Collector } from '../../support/collector.js'
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
  assert.deepEqual(await traces(), ['warn', `${endpoint}/v1/traces answers HTTP 404`])
  collector.close()
  assert.deepEqual(await traces(), ['warn', `${endpoint}/v1/traces is not reached (ECONNREFUSED)`])
})
