import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { loadConfig } from '../../src/config/load.js'
import { configFileOf } from '../support/config-file.js'

const dir = makeTempDir('flux-traces-')
const { authority, agent } = await makeCertificates()
const { caCert, certFile, keyFile } = writeAgentFiles(dir, authority, agent)
const headersFile = join(dir, 'headers')
writeFileSync(headersFile, 'authorization: Bearer abc\n')

const load = (traces: object) => loadConfig({ file: configFileOf(dir, { traces }), env: {}, cwd: '/' }).config.traces

it('a collector has a path by default, and files of its own', () => {
  const endpoint = 'https://collector.example/v1/traces'
  assert.deepEqual(load({}), undefined)
  assert.deepEqual(load({ endpoint: 'http://localhost:4318' }), { endpoint: 'http://localhost:4318/v1/traces' })
  assert.deepEqual(
    load({
      endpoint: 'https://collector.example',
      headers_file: 'headers',
      ca_cert: 'ca.pem',
      cert_file: 'agent.pem',
      key_file: 'agent-key.pem',
    }),
    { endpoint, headersFile, caCert, certFile, keyFile },
  )
})

it('files of a collector that cannot be used are told, and never shown', () => {
  const endpoint = 'https://collector.example'
  const wrong: readonly [object, RegExp][] = [
    [{ endpoint, headers_file: '/nowhere' }, /: traces\.headers_file: \/nowhere cannot be read \(ENOENT\)$/],
    [
      { endpoint, headers_file: caCert },
      /: traces\.headers_file: \S+ca\.pem:1: is no header; each line has one, as in/,
    ],
    [{ endpoint, ca_cert: headersFile }, /: traces\.ca_cert: \S+headers holds no certificate in PEM$/],
    [{ endpoint, cert_file: certFile }, /: traces\.key_file is missing; allowed: the key of cert_file$/],
    [{ endpoint, cert_file: caCert, key_file: keyFile }, /: traces\.key_file: \S+ holds no key in PEM .*ca\.pem$/],
    [{ endpoint: 'http://localhost', ca_cert: caCert }, /: traces: endpoint is without TLS; write https:\/\/ there/],
    [{ headers_file: headersFile }, /: traces\.endpoint is missing; allowed: http/],
  ]
  for (const [traces, message] of wrong) assert.throws(() => load(traces), { name: 'ConfigError', message })
})
