import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { runCli } from '../support/cli.js'

let agent: TestAgent
let dir: string
/** --cert and --key of a client that may call. */
let flux: string[]

before(async () => {
  dir = makeTempDir('flux-agent-tls-')
  const certificates = await makeCertificates()
  const { caCert, certFile, keyFile } = writeAgentFiles(dir, certificates.authority, certificates.agent)
  const files = { cert: join(dir, 'flux.pem'), key: join(dir, 'flux-key.pem') }
  writeFileSync(files.cert, certificates.flux.cert)
  writeFileSync(files.key, certificates.flux.key)
  flux = ['--cert', files.cert, '--key', files.key]
  agent = await startTestAgent({ config: { tls: { ca_cert: caCert, cert_file: certFile, key_file: keyFile } } })
})
after(() => agent.stop())

const status = (...args: string[]) => runCli(['status', '--address', `127.0.0.1:${agent.port}`, ...args], { cwd: dir })

test('a client certificate that is allowed gets in, with the CA of agent.yaml or of --ca', async () => {
  const configured = await status('--config', agent.configFile, ...flux)
  assert.equal(configured.code, 0, configured.stderr)
  const given = await status('--ca', join(dir, 'ca.pem'), ...flux)
  assert.equal(given.code, 0, given.stderr)
})

test("the agent's own certificate is turned away, with the fix", async () => {
  const { code, stderr } = await status('--config', agent.configFile)
  assert.equal(code, 1)
  assert.match(stderr, /^flux-agent: [^\n]*--cert and --key of a client named in the agent's tls\.allowed_clients\n$/)
})

test('without TLS there is no answer', async () => {
  const { code, stderr } = await status()
  assert.equal(code, 1)
  assert.match(stderr, /^flux-agent: no agent answers at [^\n]*\n$/)
})

test('doctor knows the agent that listens by being turned away', async () => {
  const doctor = join(dir, 'agent.yaml')
  const keys = { ca_cert: join(dir, 'ca.pem'), cert_file: join(dir, 'agent.pem'), key_file: join(dir, 'agent-key.pem') }
  writeFileSync(
    doctor,
    JSON.stringify({
      agent_id: 'a',
      host: '127.0.0.1',
      port: agent.port,
      redis_addr: 'embedded',
      run_as: 'self',
      state_dir: join(dir, 'state'),
      tls: keys,
    }),
  )
  const { code, stdout } = await runCli(['doctor', '--config', doctor])
  assert.match(stdout.toString(), new RegExp(`^ok +port +a flux-agent listens on 127\\.0\\.0\\.1:${agent.port}$`, 'm'))
  assert.equal(code, 0)
})
