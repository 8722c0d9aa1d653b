import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../../harness/agent.js'
import { both, buildZip } from '../../../harness/zip.js'
import { readCode } from '../../../src/cli/deploy/archive.js'
import { runCli } from '../../support/cli.js'
import { makeTool } from '../tool.js'

let agent: TestAgent
let env: NodeJS.ProcessEnv

before(async () => {
  agent = await startTestAgent()
  env = { FLUX_AGENT_ADDRESS: `127.0.0.1:${agent.port}` }
})
after(() => agent.stop())

const run = (...args: string[]) => runCli(args, { env })

test('a folder is deployed and runs, with the handler it was seen to have', async () => {
  const deployed = await run('deploy', 'tool', makeTool(), '--env', 'GREETING=a=b', '--env', 'OTHER=1')
  assert.equal(deployed.code, 0, deployed.stderr)
  assert.match(deployed.stdout.toString(), /^deployed tool \(handler: tool\.sh, the only candidate; \d+ B\)\n$/)
  assert.equal((await run('exec', 'tool', 'env')).stdout.toString(), 'a=b\n')
})

test('a zip is deployed, its handler named', async () => {
  const zip = join(makeTempDir('flux-agent-deploy-'), 'code.zip')
  writeFileSync(zip, (await readCode(makeTool(), () => {})).zip)
  const deployed = await run('deploy', 'zipped', zip, '--handler', 'tool.sh', '--json')
  assert.equal(deployed.code, 0, deployed.stderr)
  const { name, handler, bytes } = JSON.parse(deployed.stdout.toString())
  assert.deepEqual({ name, handler }, { name: 'zipped', handler: 'tool.sh' })
  assert.ok(bytes > 0)
  assert.equal((await run('exec', 'zipped', 'args', 'x')).stdout.toString(), '[x]\n')
})

test('limits reach the agent', async () => {
  const args = ['--timeout', '1', '--memory-mb', '64', '--cpu-millicores', '500', '--max-concurrency', '2', '--wait']
  assert.equal((await run('deploy', 'limited', makeTool(), ...args)).code, 0)
  assert.equal((await run('exec', 'limited', 'forever')).code, 124)
})

test('code with several candidates names them and deploys nothing', async () => {
  const dir = makeTool()
  writeFileSync(join(dir, 'main.py'), '')
  const { code, stderr } = await run('deploy', 'ambiguous', dir)
  assert.equal(code, 1)
  assert.match(stderr, /^flux-agent: [^\n]*--handler FILE \(candidates: main\.py, tool\.sh\)\n$/)
  assert.match((await run('exec', 'ambiguous')).stderr, /function not found/)
})

test('what the agent refuses is said in one line', async () => {
  const { code, stdout, stderr } = await run('deploy', 'tool2', makeTool(), '--handler', 'missing.sh')
  assert.equal(code, 1)
  assert.equal(stdout.length, 0)
  assert.match(stderr, /^flux-agent: [^\n]*missing\.sh[^\n]*\n$/)
})

test('a zip that cannot be read is refused in the words of the agent', async () => {
  const file = join(makeTempDir('flux-agent-deploy-'), 'code.zip')
  writeFileSync(file, '<!DOCTYPE html><title>502 Bad Gateway</title>')
  const { code, stderr } = await run('deploy', 'page', file)
  assert.equal(code, 1)
  assert.match(stderr, /^flux-agent: not a zip archive: it is HTML or XML, perhaps the page of an error [^\n]*\n$/)
})

test('warnings of the agent are shown', async () => {
  const file = join(makeTempDir('flux-agent-deploy-'), 'code.zip')
  const name = Buffer.from('caf\x82.txt', 'latin1')
  writeFileSync(
    file,
    buildZip([
      { name: 'main.sh', contents: '#!/bin/sh\n' },
      { name, system: 0, ...both({ flags: 0 }) },
    ]),
  )
  const { code, stderr } = await run('deploy', 'guessed', file)
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^flux-agent: function deployed; warning: entry "café.txt" does not say in which encoding/)
})

test('what of a folder is left out is said', async () => {
  const dir = makeTool()
  mkdirSync(join(dir, '.flux-agent'))
  writeFileSync(join(dir, 'main.py'), '')
  const { code, stderr } = await run('deploy', 'selected', dir, '--exclude', 'main.py', '--exclude', '*.log')
  assert.equal(code, 0, stderr)
  assert.deepEqual(stderr.trimEnd().split('\n'), [
    "flux-agent: left out .flux-agent, an agent's own state",
    'flux-agent: --exclude *.log leaves out nothing: no file or folder of CODE has that path',
  ])
})

test('a deploy just below the message limit arrives', async () => {
  const dir = makeTool()
  writeFileSync(join(dir, 'blob'), randomBytes(49.8 * 1024 * 1024))
  const { code, stderr } = await run('deploy', 'large', dir)
  assert.equal(code, 0, stderr)
})
