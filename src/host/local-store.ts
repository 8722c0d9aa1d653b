import { lookup } from 'node:dns/promises'
import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { StoreLocation } from '../store/open.js'
import { type HostPort, parseRedisAddress, type RedisAddress } from '../store/redis/address.js'

const LOOKUP_LIMIT_MS = 2_000

/**
 * The TCP ports in the store's address that are on this machine; none where it is elsewhere, or has no port. A host that
 * is not found, or not within seconds, counts as this machine.
 */
export async function localStorePorts(store: StoreLocation): Promise<number[]> {
  if (store.kind !== 'redis') return []
  const { hosts, family = 0 } = listenersOf(parseRedisAddress(store.address))
  const own = ownAddresses()
  const here = await Promise.all(hosts.map(({ host }) => isHere(host, family, own)))
  return hosts.filter((_, index) => here[index]).map(({ port }) => port)
}

function listenersOf(address: RedisAddress): { hosts: readonly HostPort[]; family?: number } {
  switch (address.kind) {
    case 'single': {
      const { connection } = address
      return 'path' in connection ? { hosts: [] } : { hosts: [connection], ...connection }
    }
    case 'sentinel':
      return { hosts: address.sentinels, ...address }
    case 'cluster':
      return { hosts: address.nodes, ...address }
  }
}

async function isHere(host: string, family: number, own: BlockList): Promise<boolean> {
  const limit = new AbortController()
  const addresses = await Promise.race([
    lookup(host, { all: true, family }).catch(() => undefined),
    delay(LOOKUP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined),
  ])
  limit.abort()
  return !addresses || addresses.some(({ address }) => own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
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
