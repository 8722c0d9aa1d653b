import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { AgentConfig, TlsConfig } from '../main/config.js'
import { TLS_SERVER_NAME } from '../proto.js'
import { type Finding, fail, ok, warn } from './finding.js'

interface Material {
  readonly authorities: readonly X509Certificate[]
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

const DAY_MS = 86_400_000
const SOON_DAYS = 30
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const REISSUE = 'have a new certificate issued for this node'

/** Whether the control plane will take the agent's certificate, and only the right callers get in. */
export function checkCertificates({ tls }: AgentConfig): Finding[] {
  if (!tls) return []
  try {
    const material = read(tls)
    return [...checkIdentity(material), ...checkValidity(material), ...checkUsage(material), ...checkAccess(tls)]
  } catch (error) {
    return [fail('tls', (error as Error).message, 'name PEM files in tls.ca_cert, tls.cert_file and tls.key_file')]
  }
}

function read({ caCert, certFile, keyFile }: TlsConfig): Material {
  const parsed = <T>(file: string, parse: (pem: Buffer) => T): T => {
    try {
      return parse(readFileSync(file))
    } catch (error) {
      throw new Error(`${file} cannot be used: ${(error as Error).message}`)
    }
  }
  return {
    authorities: parsed(caCert, bundle),
    certificate: parsed(certFile, (pem) => new X509Certificate(pem)),
    key: parsed(keyFile, createPrivateKey),
  }
}

function bundle(pem: Buffer): X509Certificate[] {
  const blocks = pem.toString().match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  if (blocks.length === 0) throw new Error('it holds no certificate')
  return blocks.map((block) => new X509Certificate(block))
}

function* checkIdentity({ authorities, certificate, key }: Material): Iterable<Finding> {
  yield certificate.checkPrivateKey(key)
    ? ok('tls key', 'belongs to the certificate')
    : fail('tls key', 'belongs to another certificate', 'put the key beside the certificate it was made for')
  yield authorities.some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey))
    ? ok('tls ca', 'has signed the certificate')
    : fail('tls ca', 'has not signed the certificate', `${REISSUE}, or name the CA that signed it in tls.ca_cert`)
  yield certificate.checkHost(TLS_SERVER_NAME, { subject: 'never' })
    ? ok('tls name', TLS_SERVER_NAME)
    : fail('tls name', `${certificate.subjectAltName ?? 'none'}: callers expect ${TLS_SERVER_NAME}`, REISSUE)
}

function* checkValidity({ authorities, certificate }: Material): Iterable<Finding> {
  const dated = [
    ...authorities.map((authority) => ['tls ca dates', authority] as const),
    ['tls dates', certificate] as const,
  ]
  for (const [subject, { validFrom, validTo }] of dated) {
    const days = (Date.parse(validTo) - Date.now()) / DAY_MS
    if (Date.parse(validFrom) > Date.now())
      yield fail(subject, `not valid before ${validFrom}`, "set this machine's clock, or wait")
    else if (days < 0) yield fail(subject, `expired on ${validTo}`, REISSUE)
    else if (days < SOON_DAYS) yield warn(subject, `expires in ${Math.floor(days)} days`, REISSUE)
    else yield ok(subject, `valid until ${validTo}`)
  }
}

function* checkUsage({ certificate }: Material): Iterable<Finding> {
  // Node names the extended key usage so; a certificate without one may be used for everything.
  const usage: readonly string[] | undefined = certificate.keyUsage
  if (!usage || usage.includes(SERVER_AUTH)) yield ok('tls usage', 'server')
  else yield fail('tls usage', 'the certificate may not be used by a server', REISSUE)
  if (usage && !usage.includes(CLIENT_AUTH))
    yield warn('tls client', 'the certificate may not be used by a client', `${REISSUE} with clientAuth usage`)
}

function* checkAccess({ keyFile, allowedClients }: TlsConfig): Iterable<Finding> {
  if (process.platform !== 'win32' && (statSync(keyFile).mode & 0o077) !== 0)
    yield warn('tls key file', `others than its owner may read ${keyFile}`, `chmod 600 ${keyFile}`)
  yield allowedClients.includes(TLS_SERVER_NAME)
    ? warn('tls callers', 'every agent may command this one', `take ${TLS_SERVER_NAME} out of tls.allowed_clients`)
    : ok('tls callers', allowedClients.join(', '))
}
