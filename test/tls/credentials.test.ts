import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { issueAgent, makeAuthority, makeCertificates, serialOf, writeAgentFiles } from '../../harness/certificates.js'
import type { TlsConfig } from '../../src/config/config.js'
import { TlsError } from '../../src/tls/certificates.js'
import { serverCredentials } from '../../src/tls/credentials.js'
import { checkHealth, handshake, healthClient, plainClient, serveHealth } from '../support/health-server.js'

const INTERVAL_MS = 20
const certificates = await makeCertificates()
const { authority, agent, flux, rogue } = certificates
const root = mkdtempSync(join(tmpdir(), 'flux-tls-'))
after(() => rmSync(root, { recursive: true }))

let folders = 0
function writeFiles(): TlsConfig {
  return { ...writeAgentFiles(join(root, String(folders++)), authority, agent), allowedClients: ['flux'] }
}

/** A server over fresh files, stopped after the test. */
async function serve(context: TestContext) {
  const tls = writeFiles()
  const problems: string[] = []
  const { credentials, close } = serverCredentials(tls, (problem) => problems.push(problem), INTERVAL_MS)
  const server = await serveHealth(credentials)
  context.after(() => {
    close()
    server.close()
  })
  return { tls, problems, port: server.port, peers: server.peers, close }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `never came: ${what}`)
    await wait(5)
  }
}

async function servedSerial(port: number, caPem = authority.cert): Promise<string> {
  const result = await handshake(port, caPem, { identity: flux })
  return result.kind === 'accepted' ? result.serial : result.reason
}

test('the client certificate that Flux presents is accepted', async (t) => {
  const { port } = await serve(t)
  const client = healthClient(port, certificates, flux)
  t.after(() => client.close())
  assert.equal(await checkHealth(client), true)
})

for (const [who, identity] of [
  ['no certificate', undefined],
  ['a certificate of another authority', rogue],
] as const) {
  test(`a client with ${who} reaches no handler`, async (t) => {
    const { port, peers } = await serve(t)
    const client = healthClient(port, certificates, identity)
    t.after(() => client.close())
    await assert.rejects(checkHealth(client), { code: status.UNAVAILABLE })
    assert.equal((await handshake(port, authority.cert, identity ? { identity } : {})).kind, 'refused')
    assert.deepEqual(peers, [])
  })
}

test('TLS 1.2 and 1.3 are served, TLS 1.1 is refused', async (t) => {
  const { port } = await serve(t)
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const result = await handshake(port, authority.cert, { identity: flux, version })
    assert.equal(result.kind === 'accepted' && result.protocol, version)
  }
  assert.deepEqual(await handshake(port, authority.cert, { identity: flux, version: 'TLSv1.1' }), {
    kind: 'refused',
    reason: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  })
})

/** As renewals do it: whoever reads at that moment has the old one or the new one, whole. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

test('a renewed certificate serves new connections while an existing channel goes on', async (t) => {
  const { tls, port, peers, problems } = await serve(t)
  const client = healthClient(port, certificates, flux)
  t.after(() => client.close())
  await checkHealth(client)
  assert.equal(await servedSerial(port), serialOf(agent))

  const renewed = await issueAgent(authority)
  replace(tls.keyFile, renewed.key)
  replace(tls.certFile, renewed.cert)
  await until('the renewed certificate', async () => (await servedSerial(port)) === serialOf(renewed))

  assert.equal(await checkHealth(client), true)
  assert.equal(peers.length, 2)
  assert.equal(peers[0], peers[1], 'the same connection')
  // The poll may have come between the two writes.
  for (const problem of problems) assert.match(problem, /is not the key of/)
})

test('a half-renewed pair keeps the old one in use, and is reported once', async (t) => {
  const { tls, port, problems } = await serve(t)
  const renewed = await issueAgent(authority)
  replace(tls.certFile, renewed.cert)
  await until('a report', () => problems.length > 0)
  // Ten more looks at the same files: none may be reported again or reset a connection.
  for (let look = 0; look < 10; look++) {
    assert.equal(await servedSerial(port), serialOf(agent))
    await wait(INTERVAL_MS)
  }
  assert.deepEqual(problems, [
    `${tls.keyFile}: is not the key of ${tls.certFile}; replace both with a pair issued together; ` +
      'new connections go on with the certificate in use',
  ])
  replace(tls.keyFile, renewed.key)
  await until('the renewed certificate', async () => (await servedSerial(port)) === serialOf(renewed))
  assert.equal(problems.length, 1)
})

test('files that vanish or turn to rubbish keep the old ones in use', async (t) => {
  const { tls, port, problems } = await serve(t)
  rmSync(tls.certFile)
  await until('a report', () => problems.length === 1)
  assert.match(problems[0] ?? '', /agent\.pem: cannot be read \(ENOENT\).*go on with the certificate in use/)
  assert.equal(await servedSerial(port), serialOf(agent))
  replace(tls.certFile, agent.cert.slice(0, 200))
  await until('a second report', () => problems.length === 2)
  assert.match(problems[1] ?? '', /agent\.pem: is not a certificate in PEM/)
  assert.equal(await servedSerial(port), serialOf(agent))
})

test('a replaced authority decides about new connections, resumed sessions among them', async (t) => {
  const { tls, port } = await serve(t)
  const old = { identity: flux, version: 'TLSv1.2' } as const
  const first = await handshake(port, authority.cert, old)
  assert.ok(first.kind === 'accepted')
  const resumable = { ...old, session: first.session }
  const again = await handshake(port, authority.cert, resumable)
  assert.ok(again.kind === 'accepted' && again.resumed)

  const successor = await makeAuthority('flux-ca-2')
  const renewed = await issueAgent(successor)
  const client = await successor.issue({ subject: 'CN=flux' })
  replace(tls.caCert, successor.cert)
  replace(tls.certFile, renewed.cert)
  replace(tls.keyFile, renewed.key)
  await until('the successor in use', async () => {
    const result = await handshake(port, successor.cert, { identity: client })
    return result.kind === 'accepted' && result.serial === serialOf(renewed)
  })
  for (const options of [old, resumable]) {
    const result = await handshake(port, successor.cert, options)
    assert.ok(result.kind === 'refused')
    assert.match(result.reason, /^ECONNRESET$|ALERT|^closed$/, 'by the server')
  }
})

test('after close the files are not looked at any more', async (t) => {
  const { tls, port, problems, close } = await serve(t)
  close()
  replace(tls.certFile, 'rubbish')
  await wait(10 * INTERVAL_MS)
  assert.deepEqual(problems, [])
  assert.equal(await servedSerial(port), serialOf(agent))
})

const encrypted = createPrivateKey(agent.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  .toString()
const other = await issueAgent(authority)
const UNUSABLE: readonly [what: string, file: 'caCert' | 'certFile' | 'keyFile', text: string, message: RegExp][] = [
  ['an authority that is no certificate', 'caCert', 'rubbish', /ca\.pem: is not a certificate in PEM; replace it/],
  ['a certificate that is a key', 'certFile', agent.key, /agent\.pem: is not a certificate in PEM; replace it/],
  ['a key that is a certificate', 'keyFile', agent.cert, /agent-key\.pem: is not a private key in PEM without/],
  ['a key with a passphrase', 'keyFile', encrypted, /agent-key\.pem: is not a private key in PEM without a passphrase/],
  [
    'the key of another certificate',
    'keyFile',
    other.key,
    /agent-key\.pem: is not the key of .*agent\.pem; replace both/,
  ],
]
for (const [what, file, text, message] of UNUSABLE) {
  test(`${what} stops the start with a line that names the file`, () => {
    const tls = writeFiles()
    replace(tls[file], text)
    assert.throws(
      () => serverCredentials(tls, assert.fail),
      (error) => {
        assert.ok(error instanceof TlsError)
        assert.equal(error.code, 'TLS_INVALID')
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /BEGIN/)
        return true
      },
    )
  })
}

test('a missing file stops the start with a line that names it', () => {
  const tls = writeFiles()
  rmSync(tls.keyFile)
  const message = `${tls.keyFile}: cannot be read (ENOENT); put the file there`
  assert.throws(() => serverCredentials(tls, assert.fail), { code: 'TLS_INVALID', message })
})

const DAY_MS = 86_400_000
for (const [what, own, warning] of [
  ['has expired', await issueAgent(authority, { notAfter: new Date(Date.now() - DAY_MS / 2) }), /has expired on/],
  [
    'is not valid yet',
    await issueAgent(authority, { notBefore: new Date(Date.now() + DAY_MS) }),
    /is not valid before/,
  ],
  ['is of another authority', rogue, /is not signed by .*ca\.pem/],
] as const) {
  test(`an own certificate that ${what} is a warning`, () => {
    const tls = { ...writeAgentFiles(join(root, String(folders++)), authority, own), allowedClients: ['flux'] }
    const problems: string[] = []
    serverCredentials(tls, (problem) => problems.push(problem)).close()
    assert.equal(problems.length, 1)
    assert.match(problems[0] ?? '', warning)
    assert.match(problems[0] ?? '', /agent\.pem: .*callers will refuse this agent until it is replaced/)
  })
}

test('without a tls section there is no TLS', async (t) => {
  const { credentials } = serverCredentials(undefined, assert.fail)
  const server = await serveHealth(credentials)
  t.after(() => server.close())
  assert.equal((await handshake(server.port, authority.cert)).kind, 'refused')
  const client = plainClient(server.port)
  t.after(() => client.close())
  assert.equal(await checkHealth(client), true)
})
