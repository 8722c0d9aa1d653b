import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { functionFromJson, functionToJson } from '../../src/store/function-json.js'
import { settingsOf } from '../support/settings.js'

const bare = settingsOf('f')

describe('function as JSON', () => {
  it('has the keys other agents read', () => {
    const settings = {
      ...bare,
      cpuMillicores: 1,
      memoryMb: 2,
      timeoutSeconds: 3,
      maxConcurrency: 4,
      env: { A: 'b' },
    } as const
    assert.deepEqual(JSON.parse(functionToJson({ ...settings, maxConcurrencyBehavior: 'wait' })), {
      Name: 'f',
      Handler: 'main.sh',
      Resources: { CPU: 1, Memory: 2 },
      Timeout: 3,
      MaxConcurrency: 4,
      MaxConcurrencyBehavior: 'wait',
      Env: { A: 'b' },
    })
  })

  for (const json of [
    '{"Handler":"main.sh"}',
    '{"Name":"f","Handler":"main.sh","Env":null,"Resources":null,"Timeout":null,"MaxConcurrencyBehavior":""}',
    '{"Name":"f","Handler":"main.sh","Resources":{},"Runtime":"native","CreatedAt":7}',
  ]) {
    it(`is forgiving about ${json}`, () => assert.deepEqual(functionFromJson('f', json), bare))
  }

  for (const [json, why] of [
    ['', /not JSON/],
    ['[]', /object/],
    ['null', /object/],
    ['{"Name":"f"}', /^Handler: /],
    ['{"Handler":""}', /^Handler: /],
    ['{"Handler":7}', /^Handler: /],
    ['{"Handler":"x","Timeout":"3s"}', /^Timeout: /],
    ['{"Handler":"x","MaxConcurrency":-1}', /^MaxConcurrency: /],
    ['{"Handler":"x","Resources":{"CPU":1.5}}', /^Resources\.CPU: /],
    ['{"Handler":"x","MaxConcurrencyBehavior":"queue"}', /^MaxConcurrencyBehavior: /],
    ['{"Handler":"x","Env":{"A":1}}', /^Env\.A: /],
    ['{"Name":"g","Handler":"x"}', /^Name: /],
  ] as const) {
    it(`refuses ${json || 'nothing'}`, () => {
      assert.throws(
        () => functionFromJson('f', json),
        (error: Error) => why.test(error.message),
      )
    })
  }
})
