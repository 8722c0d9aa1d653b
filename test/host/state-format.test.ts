import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../harness/agent.js'
import { claimStateFormat } from '../../src/host/state-format.js'
import { VERSION } from '../../src/version.js'

describe('the format of a state folder', () => {
  let stateDir: string
  const config = () => ({ stateDir, file: '/etc/agent.yaml' })
  const write = (text: string) => writeFileSync(join(stateDir, 'format.json'), text)
  const read = () => JSON.parse(readFileSync(join(stateDir, 'format.json'), 'utf8')) as unknown

  beforeEach(() => {
    stateDir = makeTempDir('flux-state-')
  })

  it('is written into a new folder and into one of a version that wrote none', () => {
    claimStateFormat(config())
    assert.deepEqual(read(), { format: 1, version: VERSION })
    assert.deepEqual(readdirSync(stateDir), ['format.json'])
  })

  it('is that of the version which ran last', () => {
    write('{"format":1,"version":"0.0.9"}')
    claimStateFormat(config())
    assert.deepEqual(read(), { format: 1, version: VERSION })
  })

  it('is not known when a newer version has raised it, which is left as it is', () => {
    write('{"format":2,"version":"9.8.7","more":true}')
    assert.throws(() => claimStateFormat(config()), {
      code: 'START_REFUSED',
      message:
        `/etc/agent.yaml: state_dir: ${stateDir} has format 2, which flux-agent 9.8.7 has written, and version ${VERSION} ` +
        'knows none above 1; install 9.8.7 or later, or give another state_dir',
    })
    assert.deepEqual(read(), { format: 2, version: '9.8.7', more: true })
  })

  for (const text of ['', '{}', '{"format":"2","version":"9.8.7"}', '{"format":0,"version":"0"}']) {
    it(`is not guessed from ${JSON.stringify(text)}`, () => {
      write(text)
      assert.throws(() => claimStateFormat(config()), /its format\.json does not say which format it has; remove/)
    })
  }

  it('stops a start before anything else is changed there', async () => {
    const dir = makeTempDir('flux-agent-test-')
    stateDir = join(dir, 'state')
    mkdirSync(join(stateDir, 'run'), { recursive: true })
    write('{"format":2,"version":"9.8.7"}')
    await assert.rejects(startTestAgent({ dir }), /cannot start: .* has format 2, which flux-agent 9\.8\.7 has written/)
    assert.deepEqual(readdirSync(stateDir).sort(), ['format.json', 'run'])
  })
})
