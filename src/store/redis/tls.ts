import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { type RedisAccess, RedisFileError, readAccessFile } from './access.js'

type Contents = Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>

/** Reads the files and checks that they match. Blocks for some milliseconds. Throws RedisFileError. */
export function readRedisTls({ caCert, certFile, keyFile }: RedisAccess): Contents {
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

/**
 * Options that read the files for each connection, so that renewed files take effect. `host` absent: it is not known
 * yet; TLS then expects the one connected to. Unusable files leave the last
 * ones in use. Throws RedisFileError.
 */
export function redisTlsOptions(tls: RedisAccess, host?: string): ConnectionOptions {
  const { serverName } = tls
  let contents = readRedisTls(tls)
  const name = serverName ?? (host === undefined || isIP(host) ? undefined : host)
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

function attempt(key: RedisFileError['key'], problem: string, act: () => unknown): void {
  try {
    act()
  } catch {
    throw new RedisFileError(key, problem)
  }
}
