import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { PAGES, ROOT, readPage } from '../../../documents/markdown.js'
import { run, SHARED } from './machine.js'

const MARK = 'tried-by=test/packages/systemd/lifetime.test.ts'
const FOLDER = '/root/quick-start'
const CONFIG = '/etc/flux-agent/agent.yaml'

/** What a person types: root needs no sudo, and the package has a name of its own here. */
function typed(line: string): string {
  const command = line
    .replaceAll(/\bsudo /g, '')
    .replace('flux-agent_VERSION_amd64.deb', join(SHARED, 'flux-agent.deb'))
  return run('sh', '-c', `cd ${FOLDER} && ${command}`)
}

/** What "then edit it" asks for: certificates where the example looks for them, and a store that is here. */
function edit(): void {
  mkdirSync('/etc/flux-agent/tls', { recursive: true })
  for (const name of ['ca', 'agent', 'agent-key']) {
    const file = `/etc/flux-agent/tls/${name}.pem`
    copyFileSync(join(SHARED, `${name}.pem`), file)
    run('chmod', '600', file)
  }
  const example = readFileSync(CONFIG, 'utf8')
  assert.match(example, /^#redis_addr: /m)
  writeFileSync(CONFIG, example.replace(/^#redis_addr: .*$/m, 'redis_addr: embedded'))
}

/** Each once: pages have the same lines. */
const lines = new Set(
  PAGES.map(readPage).flatMap(({ blocks }) =>
    blocks.filter(({ mark }) => mark === MARK).flatMap((block) => block.lines),
  ),
)

describe('what the documents have an operator type', () => {
  before(() => {
    mkdirSync(FOLDER)
    for (const name of ['flux', 'flux-key']) copyFileSync(join(SHARED, `${name}.pem`), join(FOLDER, `${name}.pem`))
    symlinkSync(join(ROOT, 'examples'), join(FOLDER, 'examples'))
  })

  for (const line of lines) {
    it(`works on a node: ${line}`, () => {
      const printed = typed(line)
      if (line.includes('agent.yaml.example')) edit()
      if (/\bdoctor\b/.test(line)) assert.doesNotMatch(printed, /^FAIL/m)
      if (/systemctl status/.test(line)) assert.match(printed, /Status: "serving on /)
      if (/\bexec\b/.test(line)) assert.match(printed, /^Hello, world!/)
    })
  }

  it('are all that pages say are tried here', () => {
    assert.ok(lines.size >= 8)
  })
})
