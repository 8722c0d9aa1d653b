import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type ConnectionOptions, createSecureContext } from 'node:tls'

/** TLS with Redis. Paths are absolute. */
export interface RedisTls {
  /** The authority that signed Redis' certificate; absent: the system's trusted ones. */
  readonly caCert?: string
  /** The certificate that the agent presents; needs `keyFile`. */
  readonly certFile?: string
  readonly keyFile?: string
  /** The name in Redis' certificate, where it is not the host of the address. */
  readonly serverName?: string
}

/** Why the files cannot be used. Names the file and never quotes its contents. */
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

/** Reads the files and checks that they match. Blocks for some milliseconds. Throws RedisTlsError. */
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

/**
 * Options that read the files for each connection, so that renewed files take effect. Unusable files leave the last
 * ones in use. Throws RedisTlsError.
 */
export function redisTlsOptions(tls: RedisTls, host: string): ConnectionOptions {
  const { serverName } = tls
  let contents = readRedisTls(tls)
  const name = serverName ?? (isIP(host) ? undefined : host)
  const options = { ...(name !== undefined && { servername: name }), minVersion: 'TLSv1.2' as const }
  return Object.defineProperties(options, {
    // `ca` is read first, once for each connection.
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
