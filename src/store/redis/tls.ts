import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { readClientTls } from '../../access/client-tls.js'
import type { RedisAccess } from './access.js'

/**
 * Options that read the files for each connection, so that renewed files take effect. `host` absent: it is not known
 * yet; TLS then expects the one connected to. Unusable files leave the last ones in use. Throws AccessFileError.
 */
export function redisTlsOptions(tls: RedisAccess, host?: string): ConnectionOptions {
  const { serverName } = tls
  let contents = readClientTls(tls)
  const name = serverName ?? (host === undefined || isIP(host) ? undefined : host)
  const options = { ...(name !== undefined && { servername: name }), minVersion: 'TLSv1.2' as const }
  return Object.defineProperties(options, {
    // `ca` is read first, once for each connection.
    ca: {
      enumerable: true,
      get: () => {
        try {
          contents = readClientTls(tls)
        } catch {}
        return contents.ca
      },
    },
    cert: { enumerable: true, get: () => contents.cert },
    key: { enumerable: true, get: () => contents.key },
  })
}
