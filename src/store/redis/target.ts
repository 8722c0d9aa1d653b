import type { RedisAccess } from './access.js'
import type { SentinelAddress, SingleAddress } from './address.js'
import { connectorTo } from './primary-connector.js'
import { Sentinels } from './sentinels.js'
import { redisTlsOptions } from './tls.js'

/** Options of ioredis that lead to the address, and its Sentinels. Throws AccessFileError. */
export function targetOf(address: SingleAddress | SentinelAddress, access: RedisAccess) {
  if (address.kind === 'single') {
    const { connection, tls } = address
    const host = 'host' in connection ? connection.host : undefined
    return { options: { ...connection, ...(tls && { tls: redisTlsOptions(access, host) }) } }
  }
  const tls = address.tls ? redisTlsOptions(access) : undefined
  const sentinels = new Sentinels(address, access)
  const Connector = connectorTo(sentinels, address.family, tls)
  return { options: { Connector, db: address.db, ...(tls && { tls }) }, sentinels }
}
