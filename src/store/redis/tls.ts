import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type ConnectionOptions, createSecureContext } from 'node:tls'

/** How the agent speaks TLS with Redis. Paths are absolute. */
export interface RedisTls {
  /** Who has signed the certificate of Redis; absent: one of the authorities that the system's Node trusts. */
  readonly caCert?: string
  /** With `keyFile`: the certificate that the agent shows. */
  readonly certFile?: string
  readonly keyFile?: string
  /** The name in the certificate of Redis, where that is not the host of its address. */
  readonly serverName?: string
}

/** Why the files cannot be used: says which, and never quotes what is inside. */
export class RedisTlsError extends Error {
  override readonly name = 'RedisTlsError'
  readonly code = 'REDIS_TLS_INVALID'
  constructor(
    readonly key: 'ca_cert' | 'cert_file' | 'key_file',
    message: string,
  ) {
    super(message)
  }
}

type Contents = Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>

/** Reads the files and checks that they fit together. Blocks for some milliseconds. Throws RedisTlsError. */
export function readRedisTls({ caCert, certFile, keyFile }: RedisTls): Contents {
  const ca = caCert === undefined ? undefined : read('ca_cert', caCert)
  if (ca) attempt('ca_cert', `${caCert} holds no certificate in PEM`, () => new X509Certificate(ca))
  if (certFile === undefined || keyFile === undefined) return { ...(ca && { ca }) }
  const cert = read('cert_file', certFile)
  const key = read('key_file', keyFile)
  attempt('cert_file', `${certFile} holds no certificate in PEM`, () => new X509Certificate(cert))
  const unfit = `${keyFile} holds no key in PEM that has no passphrase and is the one of ${certFile}`
  attempt('key_file', unfit, () => createSecureContext({ cert, key }))
  return { ...(ca && { ca }), cert, key }
}

/** For each connection anew, so that renewed files come into use; where they cannot be used, those in use go on. */
export function redisTlsOptions(tls: RedisTls, host: string): ConnectionOptions {
  const { serverName } = tls
  let contents = readRedisTls(tls)
  const name = serverName ?? (isIP(host) ? undefined : host)
  const options = { ...(name !== undefined && { servername: name }), minVersion: 'TLSv1.2' as const }
  return Object.defineProperties(options, {
    // Read first, once a connection.
    ca: {
      enumerable: true,
      get: () => {
        try {
          contents = readRedisTls(tls)
        } catch {}
        return contents.ca
      },
    },
    cert: { enumerable: true, get: () => contents.cert },
    key: { enumerable: true, get: () => contents.key },
  })
}

function read(key: RedisTlsError['key'], file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new RedisTlsError(key, `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

function attempt(key: RedisTlsError['key'], problem: string, act: () => unknown): void {
  try {
    act()
  } catch {
    throw new RedisTlsError(key, problem)
  }
}
