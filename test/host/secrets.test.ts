import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, beforeEach, describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import type { AgentConfig } from '../../src/config/config.js'
import { loadConfig } from '../../src/config/load.js'
import { exposedSecrets } from '../../src/host/secrets.js'
import type { RunAs } from '../../src/os/platform.js'

const isRoot = process.getuid?.() === 0
const runner: RunAs = { name: 'runner', uid: 54_321, gid: 54_321, home: '/home/runner', groups: [54_322] }

describe("the agent's secrets", { skip: !isRoot && 'needs root' }, () => {
  const dir = makeTempDir('flux-secrets-')
  const file = join(dir, 'agent.yaml')
  const key = join(dir, 'key.pem')
  const state = join(dir, 'state')
  const store = join(dir, 'store')
  let config: AgentConfig

  before(() => {
    for (const path of [key, join(dir, 'cert.pem')]) writeFileSync(path, 'x')
    for (const path of [state, store]) mkdirSync(path)
    const tls = { ca_cert: 'cert.pem', cert_file: 'cert.pem', key_file: 'key.pem' }
    writeFileSync(file, JSON.stringify({ agent_id: 'a', tls, state_dir: state, redis_addr: `embedded:${store}` }))
    config = loadConfig({ file, env: {}, cwd: dir }).config
  })
  beforeEach(() => {
    chmodSync(dir, 0o755)
    for (const path of [file, key]) chmodSync(path, 0o600)
    for (const path of [state, store]) chmodSync(path, 0o700)
    for (const path of [file, key, state, store]) chownSync(path, 0, 0)
  })

  const fixes = () => exposedSecrets(config, runner).map(({ kind, fix }) => `${kind}: ${fix}`)

  it('are closed to the runner by modes 600 and 700', () => assert.deepEqual(fixes(), []))

  it('are told of where others may read them', () => {
    for (const path of [file, key]) chmodSync(path, 0o604)
    for (const path of [state, store]) chmodSync(path, 0o701)
    assert.deepEqual(fixes(), [
      `config: chmod 600 ${file}`,
      `key: chmod 600 ${key}`,
      `state: chmod 700 ${state}`,
      `store: chmod 700 ${store}`,
    ])
  })

  it("are told of where one of the runner's groups may", () => {
    for (const [path, group] of [[file, 54_321] as const, [key, 54_322] as const]) {
      chownSync(path, 0, group)
      chmodSync(path, 0o640)
    }
    assert.deepEqual(fixes(), [`config: chmod 600 ${file}`, `key: chmod 600 ${key}`])
  })

  it('are told of where they belong to the runner, who may change the mode', () => {
    chownSync(file, runner.uid, 0)
    chmodSync(file, 0)
    assert.deepEqual(fixes(), [`config: chown root ${file} && chmod 600 ${file}`])
  })

  it('are safe where a folder above is closed to the runner', () => {
    chmodSync(file, 0o644)
    chmodSync(dir, 0o700)
    assert.deepEqual(fixes(), [])
  })

  it('are safe where only the group of others may read them', () => {
    chownSync(file, 0, 54_323)
    chmodSync(file, 0o640)
    assert.deepEqual(fixes(), [])
  })

  it("are nothing to ask for where functions run as the agent's own user", () => {
    chmodSync(file, 0o644)
    assert.deepEqual(exposedSecrets(config, undefined), [])
  })
})
