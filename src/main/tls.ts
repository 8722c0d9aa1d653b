import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import type { TlsConfig } from './config.js'

/** Why the TLS files cannot be used: names the file and what mends it. Never quotes what is inside. */
export class TlsError extends Error {
  override readonly name = 'TlsError'
  readonly code = 'TLS_INVALID'
}

const BEGIN = '-----BEGIN CERTIFICATE-----'

export interface ReloadingCredentials {
  readonly credentials: ServerCredentials
  /** Stops watching the files. */
  close(): void
}

/**
 * Credentials of a server that demands a client certificate of the configured authority, or of one without TLS where
 * `tls` is absent. Renewed files come into use for new connections within `intervalMs`, once all of them fit together;
 * until then the ones in use stay. `onProblem` gets a line for each change that cannot be used or that needs a look.
 * Throws TlsError where the files cannot be used at the start.
 */
export function serverCredentials(
  tls: TlsConfig | undefined,
  onProblem: (problem: string) => void,
  intervalMs = 2000,
): ReloadingCredentials {
  if (!tls) return { credentials: ServerCredentials.createInsecure(), close() {} }
  const initial = readNow(tls)
  const credentials = new MutualTlsCredentials(secureContext(tls, initial))
  for (const doubt of doubts(tls, initial)) onProblem(doubt)
  const close = onChange(tls, digest(initial), intervalMs, (found) => {
    try {
      if (found instanceof TlsError) throw found
      credentials.use(secureContext(tls, found))
      for (const doubt of doubts(tls, found)) onProblem(doubt)
    } catch (error) {
      onProblem(`${(error as Error).message}; new connections go on with the certificate in use`)
    }
  })
  return { credentials, close }
}

/**
 * Whoever hangs up resets a stream, and by default a connection is closed, with all calls on it, where more than 33 a
 * second are (a guard against strangers, CVE-2023-44487). The callers here are known, and one of them speaks for
 * thousands. Node before 24 does not know these options.
 */
const HANG_UPS = { streamResetBurst: 100_000, streamResetRate: 10_000 }

/**
 * grpc-js has certificate providers for this, but they publish identity and authority one after the other, and a
 * missing or half-renewed file makes its own provider reset every new connection.
 */
class MutualTlsCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ requestCert: true, rejectUnauthorized: true, ...HANG_UPS }, context)
  }

  use(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context)
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

interface Contents {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** Compares what the files hold and not their times: a renewal may keep those. Answers how to stop. */
function onChange(tls: TlsConfig, known: string, intervalMs: number, report: (found: Contents | TlsError) => void) {
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let seen = known
  const look = async () => {
    const found = await readLater(tls).catch((error: TlsError) => error)
    if (closed) return
    const state = found instanceof TlsError ? found.message : digest(found)
    if (state !== seen) report(found)
    seen = state
    schedule()
  }
  const schedule = () => {
    timer = setTimeout(() => void look(), intervalMs).unref()
  }
  schedule()
  return () => {
    closed = true
    clearTimeout(timer)
  }
}

function readNow(tls: TlsConfig): Contents {
  const read = (file: string) => {
    try {
      return readFileSync(file)
    } catch (error) {
      throw unreadable(file, error)
    }
  }
  return { ca: read(tls.caCert), cert: read(tls.certFile), key: read(tls.keyFile) }
}

async function readLater(tls: TlsConfig): Promise<Contents> {
  const read = (file: string) =>
    readFile(file).catch((error: unknown) => {
      throw unreadable(file, error)
    })
  const [ca, cert, key] = await Promise.all([read(tls.caCert), read(tls.certFile), read(tls.keyFile)])
  return { ca, cert, key }
}

function unreadable(file: string, error: unknown): TlsError {
  return new TlsError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code}); put the file there`)
}

function digest({ ca, cert, key }: Contents): string {
  const hash = createHash('sha256')
  for (const part of [ca, cert, key]) hash.update(createHash('sha256').update(part).digest())
  return hash.digest('hex')
}

/** Throws TlsError unless the three files fit together. */
function secureContext(tls: TlsConfig, { ca, cert, key }: Contents): SecureContextOptions {
  parseCertificate(tls.caCert, ca)
  const certificate = parseCertificate(tls.certFile, cert)
  if (!certificate.checkPrivateKey(parseKey(tls.keyFile, key))) {
    throw new TlsError(`${tls.keyFile}: is not the key of ${tls.certFile}; replace both with a pair issued together`)
  }
  const options = { ca, cert, key, minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(options)
  } catch (error) {
    throw new TlsError(`${tls.certFile}: cannot be used for TLS (${(error as Error).message}); issue it anew`)
  }
  return options
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

/** What does not keep the agent from serving but its callers from accepting it. */
function doubts(tls: TlsConfig, { ca, cert }: Contents): string[] {
  const certificate = new X509Certificate(cert)
  const authority = new X509Certificate(ca)
  const now = Date.now()
  const found: string[] = []
  if (Date.parse(certificate.validTo) < now) found.push(`has expired on ${certificate.validTo}`)
  if (Date.parse(certificate.validFrom) > now) found.push(`is not valid before ${certificate.validFrom}`)
  if (!hasSeveral(cert) && !hasSeveral(ca) && !certificate.verify(authority.publicKey)) {
    found.push(`is not signed by ${tls.caCert}`)
  }
  return found.map((doubt) => `${tls.certFile}: ${doubt}; callers will refuse this agent until it is replaced`)
}

function hasSeveral(pem: Buffer): boolean {
  return pem.indexOf(BEGIN) !== pem.lastIndexOf(BEGIN)
}
