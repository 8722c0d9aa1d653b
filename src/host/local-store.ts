import { lookup } from 'node:dns/promises'
import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { StoreLocation } from '../store/open.js'
import { parseRedisAddress } from '../store/redis/address.js'

const LOOKUP_LIMIT_MS = 2_000

/**
 * The TCP port of the store where it is on this machine; undefined where it is elsewhere, or no port. A host that is
 * not found, or not within seconds, counts as this machine.
 */
export async function localStorePort(store: StoreLocation): Promise<number | undefined> {
  if (store.kind !== 'redis') return undefined
  const { host, port, family } = parseRedisAddress(store.address).connection
  if (host === undefined || port === undefined) return undefined
  const limit = new AbortController()
  const addresses = await Promise.race([
    lookup(host, { all: true, family: family ?? 0 }).catch(() => undefined),
    delay(LOOKUP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined),
  ])
  limit.abort()
  const own = ownAddresses()
  const isHere = !addresses || addresses.some(({ address }) => own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
  return isHere ? port : undefined
}

function ownAddresses(): BlockList {
  const own = new BlockList()
  own.addSubnet('127.0.0.0', 8, 'ipv4')
  // connect(2) takes these for loopback.
  own.addAddress('0.0.0.0', 'ipv4')
  own.addAddress('::', 'ipv6')
  for (const { address, family } of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []))
    own.addAddress(address, family === 'IPv6' ? 'ipv6' : 'ipv4')
  return own
}
