import { X509Certificate } from 'node:crypto'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { AccessFileError, readAccessFile } from './files.js'

/** Codes of errors for a server whose certificate no trusted authority has signed (openssl-verification-options(1)). */
export const UNTRUSTED =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_(UNTRUSTED|CHAIN_TOO_LONG|SIGNATURE_FAILURE)|INVALID_(CA|PURPOSE))$/

/** PEM files for TLS to a server elsewhere. Paths are absolute. */
export interface ClientTls {
  /** The authority that signed the server's certificate; absent: the system's trusted ones. */
  readonly caCert?: string
  /** The certificate that the agent presents; needs `keyFile`. */
  readonly certFile?: string
  readonly keyFile?: string
}

/** Reads the files and checks that they match. Blocks for some milliseconds. Throws AccessFileError. */
export function readClientTls({
  caCert,
  certFile,
  keyFile,
}: ClientTls): Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> {
  const ca = caCert === undefined ? undefined : readAccessFile('ca_cert', caCert)
  if (ca) attempt('ca_cert', `${caCert} holds no certificate in PEM`, () => new X509Certificate(ca))
  if (certFile === undefined || keyFile === undefined) return { ...(ca && { ca }) }
  const cert = readAccessFile('cert_file', certFile)
  const key = readAccessFile('key_file', keyFile)
  attempt('cert_file', `${certFile} holds no certificate in PEM`, () => new X509Certificate(cert))
  const unfit = `${keyFile} holds no key in PEM that has no passphrase and is the one of ${certFile}`
  attempt('key_file', unfit, () => createSecureContext({ cert, key }))
  return { ...(ca && { ca }), cert, key }
}

function attempt(key: string, problem: string, act: () => unknown): void {
  try {
    act()
  } catch {
    throw new AccessFileError(key, problem)
  }
}
