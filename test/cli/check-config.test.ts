import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { issueAgent, makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { runCli } from '../support/cli.js'

const { authority, agent, flux } = await makeCertificates()

/** Checks a file with these keys. */
async function check(keys: Readonly<Record<string, unknown>>, dir = makeTempDir('flux-check-')) {
  const file = join(dir, 'agent.yaml')
  writeFileSync(file, JSON.stringify({ agent_id: 'a', host: '127.0.0.1', ...keys }))
  const { code, stdout, stderr } = await runCli(['check-config', '--config', file])
  return { file, code, stdout: stdout.toString(), stderr }
}

function tlsKeys(dir: string, identity = agent) {
  const { caCert, certFile, keyFile } = writeAgentFiles(dir, authority, identity)
  return { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
}

test('a configuration that a start would take is ok, its warnings on standard error', async () => {
  const right = await check({ tls: tlsKeys(makeTempDir('flux-check-')) })
  assert.deepEqual([right.code, right.stdout, right.stderr], [0, `${right.file}: ok\n`, ''])
  const unknown = await check({ max_task: 1 })
  assert.equal(unknown.code, 0)
  assert.equal(unknown.stdout, `${unknown.file}: ok\n`)
  assert.equal(
    unknown.stderr,
    `flux-agent: ${unknown.file}: unknown key "max_task" is ignored; did you mean "max_tasks"?\n`,
  )
})

test('each wrong value has a line', async () => {
  const { file, code, stdout, stderr } = await check({ max_tasks: 'many', log_level: 'loud' })
  assert.deepEqual([code, stdout], [1, ''])
  assert.equal(
    stderr,
    `flux-agent: ${file}: max_tasks: "many" is not allowed; allowed: a whole number from 0 to 1000000\n` +
      `flux-agent: ${file}: log_level: "loud" is not allowed; allowed: one of debug, info, warn, error\n`,
  )
})

test('TLS files that do not fit together are not ok, a certificate that has expired is a warning', async () => {
  const dir = makeTempDir('flux-check-')
  const tls = tlsKeys(dir)
  writeFileSync(tls.key_file, flux.key)
  const wrong = await check({ tls })
  assert.deepEqual([wrong.code, wrong.stdout], [1, ''])
  assert.equal(
    wrong.stderr,
    `flux-agent: ${tls.key_file}: is not the key of ${tls.cert_file}; replace both with a pair issued together\n`,
  )
  const expired = await issueAgent(authority, { notAfter: new Date(Date.now() - 1000) })
  const old = await check({ tls: tlsKeys(dir, expired) })
  assert.equal(old.code, 0)
  assert.match(old.stderr, /^flux-agent: .*agent\.pem: has expired on .*\n$/)
})

test('without a file the development defaults are', async () => {
  const { code, stdout, stderr } = await runCli(['check-config'], { cwd: makeTempDir('flux-check-') })
  assert.deepEqual([code, stdout.toString()], [0, 'development defaults: ok\n'])
  assert.match(stderr, /^flux-agent: no configuration file: development defaults are used/)
})
