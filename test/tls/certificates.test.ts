import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import { connect } from 'node:tls'
import { makeTempDir } from '../../harness/agent.js'
import {
  type Identity,
  issueAgent,
  makeAuthority,
  makeCertificates,
  writeAgentFiles,
} from '../../harness/certificates.js'
import type { TlsConfig } from '../../src/config/config.js'
import { loadCertificates, TlsError } from '../../src/tls/certificates.js'
import { serverCredentials } from '../../src/tls/credentials.js'
import { examine } from '../cli/doctor/examine.js'
import { serveHealth } from '../support/health-server.js'

const { authority, agent, flux } = await makeCertificates()
const issuing = await authority.intermediate('issuing-ca')
const chained = await issueAgent(issuing)

function files(identity: Identity, ca = authority.cert): TlsConfig {
  const paths = writeAgentFiles(makeTempDir('flux-certificates-'), { ...authority, cert: ca }, identity)
  return { ...paths, allowedClients: ['flux'] }
}

function problem(tls: TlsConfig): string {
  try {
    loadCertificates(tls)
  } catch (error) {
    assert.ok(error instanceof TlsError)
    return error.message
  }
  assert.fail('taken')
}

async function doctor({ caCert, certFile, keyFile }: TlsConfig) {
  return examine({ tls: { ca_cert: caCert, cert_file: certFile, key_file: keyFile } })
}

test('a certificate with its intermediate behind it is taken by agent, doctor and callers alike', async () => {
  const tls = files({ cert: chained.cert + issuing.cert, key: chained.key })
  assert.deepEqual(loadCertificates(tls).warnings, [])
  const { code, find } = await doctor(tls)
  assert.deepEqual([code, find('tls ca')?.level, find('tls key')?.level], [0, 'ok', 'ok'])

  const { credentials, close } = serverCredentials(tls, assert.fail)
  const server = await serveHealth(credentials)
  after(() => {
    close()
    server.close()
  })
  // As a caller does that knows the root alone.
  const socket = connect({
    port: server.port,
    host: '127.0.0.1',
    servername: 'flux-agent',
    ca: authority.cert,
    ...flux,
  })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  assert.equal(
    new X509Certificate(socket.getPeerCertificate().raw).serialNumber,
    new X509Certificate(chained.cert).serialNumber,
  )
  socket.destroy()
})

test('an authority file may hold the intermediate, or several authorities', async () => {
  const other = await makeAuthority('other')
  for (const ca of [other.cert + authority.cert + issuing.cert, issuing.cert])
    assert.deepEqual(loadCertificates(files(chained, ca)).warnings, [])
})

test('a chain that leads to no authority is doubted by both', async () => {
  const other = await makeAuthority('other')
  for (const [cert, ca] of [
    [chained.cert, authority.cert],
    [chained.cert + other.cert, authority.cert],
    [chained.cert + issuing.cert, other.cert],
    [agent.cert + other.cert, other.cert],
  ] as const) {
    const tls = files({ cert, key: cert.startsWith(agent.cert) ? agent.key : chained.key }, ca)
    assert.match(loadCertificates(tls).warnings.join(), /agent\.pem: is not signed by .*ca\.pem; callers will refuse/)
    assert.equal((await doctor(tls)).find('tls ca')?.level, 'fail')
  }
})

test('the wrong order is told as such', async () => {
  const tls = files({ cert: issuing.cert + chained.cert, key: chained.key })
  const text = `${tls.certFile}: ${tls.keyFile} is the key of certificate 2 in it; put that one first, its issuers behind it`
  assert.equal(problem(tls), text)
  assert.equal((await doctor(tls)).find('tls key')?.message, text)
})

test('text around the PEM is left aside, and files of another kind are named', () => {
  const wordy = files({
    cert: `subject=CN = flux-agent\r\n${agent.cert.replaceAll('\n', '\r\n')}trailing`,
    key: agent.key,
  })
  assert.deepEqual(loadCertificates(wordy).warnings, [])
  const swapped = files({ cert: agent.key, key: agent.cert })
  assert.equal(problem(swapped), `${swapped.certFile}: is not a certificate in PEM; replace it with one`)
  const der = files({ cert: new X509Certificate(agent.cert).raw.toString('latin1'), key: agent.key })
  assert.match(problem(der), /agent\.pem: is not a certificate in PEM/)
})
