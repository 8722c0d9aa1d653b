import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { TlsConfig } from './config.js'

/** Why the TLS files cannot be used: names the file and what mends it. Never quotes what is inside. */
export class TlsError extends Error {
  override readonly name = 'TlsError'
  readonly code = 'TLS_INVALID'
}

/** What the TLS files held when they were read. */
export interface TlsContents {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** Files that fit together. */
export interface Certificates {
  readonly context: SecureContextOptions
  /** Of their contents. */
  readonly digest: string
  /** A line for each thing that does not keep the agent from serving but its callers from accepting it. */
  readonly doubts: readonly string[]
}

const BEGIN = '-----BEGIN CERTIFICATE-----'

/** Reads and checks the files. Blocks for some milliseconds. Throws TlsError. */
export function loadCertificates(tls: TlsConfig): Certificates {
  const read = (file: string) => {
    try {
      return readFileSync(file)
    } catch (error) {
      throw unreadable(file, error)
    }
  }
  return checkCertificates(tls, { ca: read(tls.caCert), cert: read(tls.certFile), key: read(tls.keyFile) })
}

/** Reads the files, which need not fit together. Rejects with TlsError. */
export async function readContents(tls: TlsConfig): Promise<TlsContents> {
  const read = (file: string) =>
    readFile(file).catch((error: unknown) => {
      throw unreadable(file, error)
    })
  const [ca, cert, key] = await Promise.all([read(tls.caCert), read(tls.certFile), read(tls.keyFile)])
  return { ca, cert, key }
}

/** Throws TlsError unless the three files fit together. */
export function checkCertificates(tls: TlsConfig, contents: TlsContents): Certificates {
  const { ca, cert, key } = contents
  const authority = parseCertificate(tls.caCert, ca)
  const certificate = parseCertificate(tls.certFile, cert)
  if (!certificate.checkPrivateKey(parseKey(tls.keyFile, key))) {
    throw new TlsError(`${tls.keyFile}: is not the key of ${tls.certFile}; replace both with a pair issued together`)
  }
  const context = { ca, cert, key, minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(context)
  } catch (error) {
    throw new TlsError(`${tls.certFile}: cannot be used for TLS (${(error as Error).message}); issue it anew`)
  }
  const chained = hasSeveral(cert) || hasSeveral(ca)
  const signed = chained || certificate.verify(authority.publicKey)
  return { context, digest: digestOf(contents), doubts: doubts(tls, certificate, signed) }
}

/** Tells contents from others. */
export function digestOf({ ca, cert, key }: TlsContents): string {
  const hash = createHash('sha256')
  for (const part of [ca, cert, key]) hash.update(createHash('sha256').update(part).digest())
  return hash.digest('hex')
}

function unreadable(file: string, error: unknown): TlsError {
  return new TlsError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code}); put the file there`)
}

function parseCertificate(file: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new TlsError(`${file}: is not a certificate in PEM; replace it with one`)
  }
}

function parseKey(file: string, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    throw new TlsError(`${file}: is not a private key in PEM without a passphrase; replace it with one`)
  }
}

function doubts(tls: TlsConfig, { validFrom, validTo }: X509Certificate, signed: boolean): string[] {
  const now = Date.now()
  const found: string[] = []
  if (Date.parse(validTo) < now) found.push(`has expired on ${validTo}`)
  if (Date.parse(validFrom) > now) found.push(`is not valid before ${validFrom}`)
  if (!signed) found.push(`is not signed by ${tls.caCert}`)
  return found.map((doubt) => `${tls.certFile}: ${doubt}; callers will refuse this agent until it is replaced`)
}

function hasSeveral(pem: Buffer): boolean {
  return pem.indexOf(BEGIN) !== pem.lastIndexOf(BEGIN)
}
