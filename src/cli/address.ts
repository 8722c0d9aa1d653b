import { BlockList, isIP, isIPv6 } from 'node:net'
import { CommandFailure } from './failure.js'

const DEFAULT_PORT = 50052
const LAST_PORT = 65_535

/** Addresses reached without a proxy: loopback, private and link-local (RFC 1918, 3927, 4193, 4291, 6598). */
const NEAR = new BlockList()
for (const [net, prefix] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const)
  NEAR.addSubnet(net, prefix, 'ipv4')
NEAR.addAddress('::1', 'ipv6')
NEAR.addSubnet('fc00::', 7, 'ipv6')
NEAR.addSubnet('fe80::', 10, 'ipv6')

/** Parses HOST:PORT, an IPv6 address in brackets. Throws CommandFailure. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const wrong = (what: string) => new CommandFailure(`address "${address}" ${what}`)
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(address)?.[0]
  if (scheme) throw wrong(`is a URL: leave out ${scheme}, as in 10.0.0.5:${DEFAULT_PORT}`)
  if (isIPv6(address)) throw wrong(`has no port: write [${address}]:${DEFAULT_PORT}`)
  const [, bracketed, name, digits = ''] = /^(?:\[([^[\]]*)\]|([^:[\]/\s]+)):(\d+)$/.exec(address) ?? []
  const host = bracketed ?? name
  if (host === undefined) throw wrong(`is not HOST:PORT, as in 10.0.0.5:${DEFAULT_PORT} or [fd00::5]:${DEFAULT_PORT}`)
  if (bracketed !== undefined && !isIPv6(bracketed)) throw wrong('has no IPv6 address in its brackets')
  const port = Number(digits)
  if (port < 1 || port > LAST_PORT) throw wrong(`has port ${digits}: allowed are 1 to ${LAST_PORT}`)
  return { host, port }
}

/** Whether a host is reached without a proxy, whatever http_proxy says. */
export function isNear(host: string): boolean {
  const family = isIP(host)
  if (family === 0) return !host.includes('.') || /\.(local|localhost|internal)\.?$/i.test(host)
  return NEAR.check(host, family === 6 ? 'ipv6' : 'ipv4')
}
