import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { KEYS } from '../../src/config/keys.js'
import { ROOT } from './markdown.js'

function check(root: string, script = 'docs/configuration.mjs') {
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { cwd: root, encoding: 'utf8' })
  return { status, stderr }
}

describe('example.agent.yaml', () => {
  const [header = ''] = readFileSync(join(ROOT, 'example.agent.yaml'), 'utf8').split('\n\n')

  it('names the keys that a reload takes over, and no others', () => {
    for (const [key, { reloads }] of Object.entries(KEYS)) {
      // All of a section are named by it, but for what it leaves out; one alone with its section.
      const [section = ''] = key === 'tls.enabled' ? ['enabled'] : key.split('.')
      const named = header.includes(key) || new RegExp(`\\b${section}\\b(?!\\.)`).test(header)
      const isLeftOut = key === 'tls.enabled'
      const is = named ? 'names it, and a reload does not take it over' : 'does not name it, and a reload takes it over'
      assert.equal(named, reloads || isLeftOut, `${key}: the header of example.agent.yaml ${is}`)
    }
    assert.match(header, /tls except\s+#? ?enabled/)
  })
})

describe('docs/configuration.md', () => {
  it('is what the schema of the configuration makes of it', () => {
    assert.deepEqual(check(ROOT), { status: 0, stderr: '' })
  })

  it('is told where it is not', () => {
    const root = makeTempDir('flux-agent-docs-')
    cpSync(join(ROOT, 'docs'), join(root, 'docs'), { recursive: true })
    for (const name of ['dist', 'node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(root, name))
    const page = join(root, 'docs/configuration.md')
    assert.equal(check(root).status, 0)
    writeFileSync(page, readFileSync(page, 'utf8').replace('`50052`', '`50053`'))
    assert.deepEqual(check(root), { status: 1, stderr: `${page} is stale: npm run docs\n` })
  })
})

describe('docs/metrics.md', () => {
  it("is what the table of the agent's metrics makes of it", () => {
    assert.deepEqual(check(ROOT, 'docs/metrics.mjs'), { status: 0, stderr: '' })
  })
})
