import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, type TestContext, test } from 'node:test'
import { status } from '@grpc/grpc-js'
import {
  type CertificateRequest,
  type Identity,
  makeCertificates,
  writeAgentFiles,
} from '../../harness/certificates.js'
import { allowedCallers, CallerRefused, type Callers } from '../../src/tls/callers.js'
import { serverCredentials } from '../../src/tls/credentials.js'
import { checkHealth, healthClient, plainClient, serveHealth } from '../support/health-server.js'

const certificates = await makeCertificates()
const { authority, agent, flux } = certificates
const root = mkdtempSync(`${tmpdir()}/flux-callers-`)
after(() => rmSync(root, { recursive: true }))

/** A client with that certificate, of a server that checks its callers. */
async function clientOf(context: TestContext, identity: Identity, allowedClients = ['flux'], callers?: Callers) {
  const tls = { ...writeAgentFiles(root, authority, agent), allowedClients }
  const { credentials, close } = serverCredentials(tls, assert.fail)
  const server = await serveHealth(credentials, callers ?? allowedCallers(tls))
  const client = healthClient(server.port, certificates, identity)
  context.after(() => {
    client.close()
    server.close()
    close()
  })
  return client
}

test('a caller named as configured may call, again and again', async (t) => {
  const client = await clientOf(t, flux)
  for (let calls = 0; calls < 3; calls++) assert.equal(await checkHealth(client), true)
})

test('another agent of the same authority is refused, again and again, with its name and the key to change', async (t) => {
  const client = await clientOf(t, agent)
  for (let calls = 0; calls < 3; calls++) {
    await assert.rejects(checkHealth(client), {
      code: status.PERMISSION_DENIED,
      details: 'caller "flux-agent" (DNS:flux-agent) is not among tls.allowed_clients of this agent',
    })
  }
})

test('one allowed connection does not let another in', async (t) => {
  const tls = { ...writeAgentFiles(root, authority, agent), allowedClients: ['flux'] }
  const { credentials, close } = serverCredentials(tls, assert.fail)
  const server = await serveHealth(credentials, allowedCallers(tls))
  const [good, bad] = [healthClient(server.port, certificates, flux), healthClient(server.port, certificates, agent)]
  t.after(() => {
    good.close()
    bad.close()
    server.close()
    close()
  })
  await checkHealth(good)
  await assert.rejects(checkHealth(bad), { code: status.PERMISSION_DENIED })
  await checkHealth(good)
})

const ALLOWED: readonly [string, CertificateRequest][] = [
  ['CN flux alone', { subject: 'CN=flux' }],
  ['DNS SAN flux under another CN', { subject: 'CN=x', san: [{ type: 'dns', value: 'flux' }] }],
  ['DNS SAN flux as the second one', { subject: [], san: ['x', 'FLUX'].map((value) => ({ type: 'dns', value })) }],
]
for (const [what, request] of ALLOWED) {
  test(`allowed: ${what}`, async (t) => {
    assert.equal(await checkHealth(await clientOf(t, await authority.issue(request))), true)
  })
}

const REFUSED: readonly [string, CertificateRequest][] = [
  ['a URI that poses as a DNS SAN', { subject: 'CN=x', san: [{ type: 'url', value: 'http://x, DNS:flux' }] }],
  ['a DNS SAN that poses as two', { subject: 'CN=x', san: [{ type: 'dns', value: 'x, DNS:flux' }] }],
  ['an other name that poses as a DNS SAN', { subject: 'CN=x', san: [{ type: 'upn', value: 'x, DNS:flux' }] }],
  ['an e-mail SAN flux', { subject: 'CN=x', san: [{ type: 'email', value: 'flux' }] }],
  ['a wildcard', { subject: 'CN=*', san: [{ type: 'dns', value: '*' }] }],
  ['a name below flux', { subject: 'CN=a.flux', san: [{ type: 'dns', value: 'a.flux' }] }],
  ['a NUL behind flux', { subject: [{ CN: ['flux\0x'] }], san: [{ type: 'dns', value: 'flux\0x' }] }],
  ['two CNs, flux among them', { subject: [{ CN: ['x'] }, { CN: ['flux'] }] }],
  ['two CNs, flux first', { subject: [{ CN: ['flux'] }, { CN: ['x'] }] }],
  ['an organisation that poses as a CN', { subject: [{ O: ['x\nCN=flux'] }, { CN: ['x'] }] }],
  ['no name at all', { subject: [] }],
]
for (const [what, request] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    const client = await clientOf(t, await authority.issue(request))
    await assert.rejects(checkHealth(client), { code: status.PERMISSION_DENIED })
  })
}

test('a configured name with a leading dot does not let in every name below it', async (t) => {
  const below = await authority.issue({ subject: 'CN=x', san: [{ type: 'dns', value: 'a.flux' }] })
  await assert.rejects(checkHealth(await clientOf(t, below, ['.flux'])), { code: status.PERMISSION_DENIED })
})

test('several names may be allowed', async (t) => {
  const operator = await authority.issue({ subject: 'CN=operator' })
  assert.equal(await checkHealth(await clientOf(t, operator, ['flux', 'operator'])), true)
})

test('the certificate is read once a connection', async (t) => {
  let reads = 0
  const callers = allowedCallers({ caCert: '', certFile: '', keyFile: '', allowedClients: ['flux'] })
  const client = await clientOf(t, flux, ['flux'], {
    check(call) {
      const read = call.getAuthContext
      call.getAuthContext = () => {
        reads++
        return read.call(call)
      }
      return callers.check(call)
    },
  })
  for (let calls = 0; calls < 3; calls++) await checkHealth(client)
  assert.equal(reads, 1)
})

test('a call whose connection cannot be told is decided by its certificate each time', () => {
  const callers = allowedCallers({ caCert: '', certFile: '', keyFile: '', allowedClients: ['flux'] })
  const callOf = (pem: string) => ({
    getAuthContext: () => ({ sslPeerCertificate: new X509Certificate(pem).toLegacyObject() }),
  })
  callers.check(callOf(flux.cert))
  assert.throws(() => callers.check(callOf(agent.cert)), CallerRefused)
  assert.throws(() => callers.check({ getAuthContext: () => ({}) }), /a client certificate is required/)
})

test('without TLS everybody may call', async (t) => {
  const server = await serveHealth(serverCredentials(undefined, assert.fail).credentials, allowedCallers(undefined))
  const client = plainClient(server.port)
  t.after(() => {
    client.close()
    server.close()
  })
  assert.equal(await checkHealth(client), true)
})
