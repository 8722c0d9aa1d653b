import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { TlsConfig } from '../config/config.js'

/** The TLS files cannot be used. Names the file and the fix; never quotes its contents. */
export class TlsError extends Error {
  override readonly name = 'TlsError'
  readonly code = 'TLS_INVALID'
}

/** The contents of the TLS files. */
export interface TlsContents {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** The parsed files, which may not match. */
export interface Identity {
  /** The first certificate of the file: the one that is presented. */
  readonly certificate: X509Certificate
  /** The following ones, which lead to an authority. */
  readonly issuers: readonly X509Certificate[]
  readonly authorities: readonly X509Certificate[]
  readonly key: KeyObject
}

/** When certificates end, epoch ms; of several the first. */
export interface CertificateExpiry {
  /** Of the presented certificate and its issuers. */
  readonly certificate: number
  readonly authority: number
}

/** TLS files that match. */
export interface Certificates {
  readonly expiry: CertificateExpiry
  readonly context: SecureContextOptions
  /** The digest of their contents. */
  readonly digest: string
  /** Warnings about faults that let the agent serve but make callers reject it. */
  readonly warnings: readonly string[]
}

const CERTIFICATES = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/gs
/** The first byte of DER: certificates and keys are sequences. */
const DER_SEQUENCE = 0x30
/** Longer chains are not in use. */
const LONGEST_CHAIN = 8

/** Reads and checks the files. Throws TlsError. Blocks for some milliseconds. */
export function loadCertificates(tls: TlsConfig): Certificates {
  return checkCertificates(tls, readContentsNow(tls))
}

/** Reads the files without checking that they match. Throws TlsError. Blocks for some milliseconds. */
export function readContentsNow(tls: TlsConfig): TlsContents {
  const read = (file: string) => {
    try {
      return readFileSync(file)
    } catch (error) {
      throw unreadable(file, error)
    }
  }
  return { ca: read(tls.caCert), cert: read(tls.certFile), key: read(tls.keyFile) }
}

/** Reads the files asynchronously. Rejects with TlsError. */
export async function readContents(tls: TlsConfig): Promise<TlsContents> {
  const read = (file: string) =>
    readFile(file).catch((error: unknown) => {
      throw unreadable(file, error)
    })
  const [ca, cert, key] = await Promise.all([read(tls.caCert), read(tls.certFile), read(tls.keyFile)])
  return { ca, cert, key }
}

/** Checks that the three files match. Throws TlsError. */
export function checkCertificates(tls: TlsConfig, contents: TlsContents): Certificates {
  const identity = readIdentity(tls, contents)
  const problem = keyProblem(tls, identity)
  if (problem) throw new TlsError(problem)
  const { ca, cert, key } = contents
  const context = { ca, cert, key, minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(context)
  } catch (error) {
    throw new TlsError(`${tls.certFile}: cannot be used for TLS (${(error as Error).message}); issue it anew`)
  }
  return { context, digest: digestOf(contents), expiry: expiryOf(identity), warnings: warnings(tls, identity) }
}

/** Parses the files. Throws TlsError where one contains nothing of its kind. */
export function readIdentity(tls: TlsConfig, { ca, cert, key }: TlsContents): Identity {
  const authorities = parseCertificates(tls.caCert, ca)
  const [certificate, ...issuers] = parseCertificates(tls.certFile, cert)
  return { certificate, issuers, authorities, key: parseKey(tls.keyFile, key) }
}

/** Why the key does not match the presented certificate; undefined where it does. */
export function keyProblem(
  { certFile, keyFile }: TlsConfig,
  { certificate, issuers, key }: Identity,
): string | undefined {
  if (certificate.checkPrivateKey(key)) return undefined
  const place = issuers.findIndex((other) => other.checkPrivateKey(key))
  return place === -1
    ? `${keyFile}: is not the key of ${certFile}; replace both with a pair issued together`
    : `${certFile}: ${keyFile} is the key of certificate ${place + 2} in it; put that one first, its issuers behind it`
}

/** Whether the chain leads from the presented certificate to an authority, as callers check. */
export function isTrusted({ certificate, issuers, authorities }: Identity): boolean {
  const issued = (issuer: X509Certificate, subject: X509Certificate) =>
    subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
  let subject: X509Certificate | undefined = certificate
  for (let length = 0; subject && length < LONGEST_CHAIN; length++) {
    const current: X509Certificate = subject
    if (authorities.some((authority) => issued(authority, current))) return true
    subject = issuers.find((issuer) => issuer !== current && issued(issuer, current))
  }
  return false
}

/** Identifies contents. */
export function digestOf({ ca, cert, key }: TlsContents): string {
  const hash = createHash('sha256')
  for (const part of [ca, cert, key]) hash.update(createHash('sha256').update(part).digest())
  return hash.digest('hex')
}

function expiryOf({ certificate, issuers, authorities }: Identity): CertificateExpiry {
  const first = (all: readonly X509Certificate[]) => Math.min(...all.map(({ validTo }) => Date.parse(validTo)))
  return { certificate: first([certificate, ...issuers]), authority: first(authorities) }
}

function unreadable(file: string, error: unknown): TlsError {
  return new TlsError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code}); put the file there`)
}

function parseCertificates(file: string, pem: Buffer): [X509Certificate, ...X509Certificate[]] {
  try {
    const [first, ...others] = (pem.toString().match(CERTIFICATES) ?? []).map((block) => new X509Certificate(block))
    if (first) return [first, ...others]
  } catch {
    // Reported below.
  }
  const fix =
    pem[0] === DER_SEQUENCE ? `it looks like DER: openssl x509 -inform der -in ${file}` : 'replace it with one'
  throw new TlsError(`${file}: is not a certificate in PEM; ${fix}`)
}

function parseKey(file: string, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    const fix =
      pem[0] === DER_SEQUENCE ? `it looks like DER: openssl pkey -inform der -in ${file}` : 'replace it with one'
    throw new TlsError(`${file}: is not a private key in PEM without a passphrase; ${fix}`)
  }
}

function warnings(tls: TlsConfig, identity: Identity): string[] {
  const now = Date.now()
  const found: string[] = []
  for (const [index, { validFrom, validTo }] of [identity.certificate, ...identity.issuers].entries()) {
    const which = index === 0 ? '' : `certificate ${index + 1} in it `
    if (Date.parse(validTo) < now) found.push(`${which}has expired on ${validTo}`)
    if (Date.parse(validFrom) > now) found.push(`${which}is not valid before ${validFrom}`)
  }
  if (!isTrusted(identity)) found.push(`is not signed by ${tls.caCert}`)
  return found.map((warning) => `${tls.certFile}: ${warning}; callers will refuse this agent until it is replaced`)
}
