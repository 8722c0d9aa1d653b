import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { enforcedLimits } from '../../../src/host/limits.js'
import { functionWarnings } from '../../../src/main/functions/warnings.js'
import { settingsOf } from '../../support/settings.js'

const PLAIN = { ...settingsOf('hello'), env: { FLUX: '1' } }

describe('what is surely not meant', () => {
  it('is nothing of usual settings', () => {
    assert.deepEqual(functionWarnings(PLAIN), [])
    assert.deepEqual(functionWarnings({ ...PLAIN, cpuMillicores: 10, memoryMb: 4 }), [])
  })

  for (const cpuMillicores of [1, 2, 9]) {
    it(`is ${cpuMillicores} millicores, which are not enforced`, () => {
      const settings = { ...PLAIN, cpuMillicores, memoryMb: 64 }
      assert.deepEqual(enforcedLimits(settings), { cpuMillicores: 0, memoryMb: 64 })
      const [warning, ...others] = functionWarnings(settings)
      assert.match(warning ?? '', new RegExp(`^cpu_millicores ${cpuMillicores} is not enforced, .*1000 is one core`))
      assert.deepEqual(others, [])
    })
  }

  it('is a memory_mb that hardly any program runs with, which is enforced', () => {
    const settings = { ...PLAIN, cpuMillicores: 10, memoryMb: 1 }
    assert.deepEqual(enforcedLimits(settings), { cpuMillicores: 10, memoryMb: 1 })
    assert.match(functionWarnings(settings).join(), /^memory_mb 1 is enforced, .*1024 is one GiB$/)
  })

  it('is a variable that the agent sets', () => {
    const env = { FLUX_EXECUTION_ID: 'mine', FLUX_NODE_PUBLIC_IP: '::1', FLUX_OTHER: 'x' }
    assert.deepEqual(functionWarnings({ ...PLAIN, env }), [
      'env FLUX_EXECUTION_ID is not used: the agent sets it for each execution',
      'env FLUX_NODE_PUBLIC_IP is not used: the agent sets it for each execution',
    ])
  })
})
