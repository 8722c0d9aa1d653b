import { isIP } from 'node:net'
import type { Net, NetworkTarget } from '../os/platform.js'

const BITS = { 4: 32, 6: 128 } as const
const MAX_PORT = 65_535

/**
 * Reads what network.deny has: an IP address, a net as in 10.0.0.0/8, a port, or one of the former with a port, as in
 * 10.0.0.1:25 and [fd00::/8]:25. Undefined for anything else.
 */
export function readNetworkTarget(text: string): NetworkTarget | undefined {
  const port = readPort(text)
  if (port !== undefined) return { port }
  const net = readNet(text)
  if (net) return { net }
  const [, bracketed, plain = '', digits = ''] = /^(?:\[([^[\]]+)\]|([\d./]+)):(\d+)$/.exec(text) ?? []
  const own = readNet(bracketed ?? plain)
  const ownPort = readPort(digits)
  // An IPv6 address with a port stands in brackets, one of IPv4 does not, as everywhere else.
  if (!own || ownPort === undefined || (own.family === 6) !== (bracketed !== undefined)) return undefined
  return { net: own, port: ownPort }
}

function readPort(text: string): number | undefined {
  const port = Number(text)
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= MAX_PORT ? port : undefined
}

function readNet(text: string): Net | undefined {
  const [, address = '', digits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? []
  const family = isIP(address)
  // Packets to an IPv4 address in IPv6's notation are of IPv4: as an IPv6 address it would match none.
  if ((family !== 4 && family !== 6) || /^::ffff:.*\./i.test(address)) return undefined
  const bits = digits === undefined ? BITS[family] : Number(digits)
  return bits <= BITS[family] ? { family, address, bits } : undefined
}

/** A target as the configuration has it. */
export function networkTargetText({ net, port }: NetworkTarget): string {
  if (!net) return `${port}`
  const { family, address, bits } = net
  const text = bits === BITS[family] ? address : `${address}/${bits}`
  if (port === undefined) return text
  return family === 6 ? `[${text}]:${port}` : `${text}:${port}`
}
