import { webcrypto, X509Certificate } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Extension, JsonGeneralNames, X509CertificateCreateParamsName } from '@peculiar/x509'

// @peculiar/x509 injects its dependencies by decorators and asks for a Reflect polyfill; it reads no metadata we need.
Object.assign(Reflect, { getMetadata: () => undefined, getOwnMetadata: () => undefined })
const x509 = await import('@peculiar/x509')

/** A certificate and its private key, PEM. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

export interface CertificateRequest {
  /** The whole subject, as in `CN=flux`. */
  readonly subject: X509CertificateCreateParamsName
  readonly san?: JsonGeneralNames
  /** Extensions beyond the usual ones. */
  readonly extra?: readonly Extension[]
  readonly notBefore?: Date
  readonly notAfter?: Date
}

export interface Authority {
  /** PEM. */
  readonly cert: string
  issue(request: CertificateRequest): Promise<Identity>
  /** An authority that this one vouches for. */
  intermediate(name: string): Promise<Authority>
}

/** Everything a test of mutual TLS needs. */
export interface Certificates {
  readonly authority: Authority
  /** Server and client usage, DNS SAN `flux-agent`, as every agent has it. */
  readonly agent: Identity
  /** CN and DNS SAN `flux`. */
  readonly flux: Identity
  /** Named `flux` too, by another authority. */
  readonly rogue: Identity
}

/** Makes an authority and its certificates, and a rogue one. About 20 ms. */
export async function makeCertificates(): Promise<Certificates> {
  const authority = await makeAuthority('flux-ca')
  const other = await makeAuthority('flux-ca')
  const flux: CertificateRequest = { subject: 'CN=flux', san: [{ type: 'dns', value: 'flux' }] }
  const [agent, client, rogue] = await Promise.all([issueAgent(authority), authority.issue(flux), other.issue(flux)])
  return { authority, agent, flux: client, rogue }
}

/** A certificate as Flux gives its agents. */
export function issueAgent(authority: Authority, validity: Partial<CertificateRequest> = {}): Promise<Identity> {
  return authority.issue({ subject: 'CN=flux-agent', san: [{ type: 'dns', value: 'flux-agent' }], ...validity })
}

/** Writes ca.pem, agent.pem and agent-key.pem as Flux's bootstrap does and answers their paths. */
export function writeAgentFiles(dir: string, authority: Authority, agent: Identity) {
  mkdirSync(dir, { recursive: true })
  const files = { caCert: join(dir, 'ca.pem'), certFile: join(dir, 'agent.pem'), keyFile: join(dir, 'agent-key.pem') }
  writeFileSync(files.caCert, authority.cert)
  writeFileSync(files.certFile, agent.cert)
  writeFileSync(files.keyFile, agent.key, { mode: 0o600 })
  return files
}

const DAY = 86_400_000
const KEYS = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' }

export async function makeAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: SIGNING,
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + 30 * DAY),
    extensions: await authorityExtensions(keys.publicKey),
  })
  return authorityOf(certificate, keys.privateKey)
}

function authorityOf(
  certificate: InstanceType<typeof x509.X509Certificate>,
  signingKey: webcrypto.CryptoKey,
): Authority {
  const signed = { issuer: certificate.subjectName, signingKey, signingAlgorithm: SIGNING }
  return {
    cert: `${certificate.toString('pem')}\n`,
    async issue({ subject, san, extra = [], notBefore, notAfter }) {
      const own = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])
      const issued = await x509.X509CertificateGenerator.create({
        ...signed,
        subject,
        publicKey: own.publicKey,
        notBefore: notBefore ?? new Date(Date.now() - DAY),
        notAfter: notAfter ?? new Date(Date.now() + 10 * DAY),
        extensions: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          ...(san ? [new x509.SubjectAlternativeNameExtension(san)] : []),
          ...extra,
        ],
      })
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey))
      return { cert: `${issued.toString('pem')}\n`, key: pem('PRIVATE KEY', key) }
    },
    async intermediate(name) {
      const own = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify'])
      const issued = await x509.X509CertificateGenerator.create({
        ...signed,
        subject: `CN=${name}`,
        publicKey: own.publicKey,
        notBefore: new Date(Date.now() - DAY),
        notAfter: new Date(Date.now() + 20 * DAY),
        extensions: await authorityExtensions(own.publicKey),
      })
      return authorityOf(issued, own.privateKey)
    },
  }
}

async function authorityExtensions(publicKey: webcrypto.CryptoKey): Promise<Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ]
}

function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}(?!$)/g, '$&\n')}\n-----END ${label}-----\n`
}

/** The serial number, to tell which certificate a server presents. */
export function serialOf(identity: Identity): string {
  return new X509Certificate(identity.cert).serialNumber
}
