import { BlockList } from 'node:net'
import type { FirewallRules, Net, NetworkTarget } from '../../platform.js'

/**
 * The commands for nft(8) that put a table with these rules in the place of one of that name, in one transaction. The
 * number of rules is the same whatever is denied: the rest is in sets.
 *
 * - Packets of other users pass after one comparison.
 * - It comes before the kernel changes addresses (NAT), so that a port which is published by a container's engine counts
 *   as one of this machine, and before connections are tracked: none has to be.
 * - Of TCP only what opens a connection is refused: a function answers whoever calls it, from whatever port.
 * - It is refused by a reset, so that connect(2) fails at once (ECONNREFUSED); other protocols fail at the send (EPERM).
 */
export function ruleSet(table: string, { uids, localPorts, deny }: FirewallRules): string {
  const own = `meta skuid ${uids.first}-${uids.last}`
  return `${replacing(table)}table inet ${table} {
${set('local_ports', 'inet_service', localPorts.map(String))}
${set('ports', 'inet_service', portsOf(deny))}
${netSet('nets4', 4, deny)}
${netSet('nets6', 6, deny)}
${netPortSet('net_ports4', 4, deny)}
${netPortSet('net_ports6', 6, deny)}
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx type admin-prohibited
  }
  chain denied {
    meta l4proto tcp tcp flags & (syn | ack) != syn accept
    ip daddr @nets4 goto refuse
    ip6 daddr @nets6 goto refuse
    meta l4proto != { tcp, udp, udplite, sctp, dccp } accept
    th dport @ports goto refuse
    ip daddr . th dport @net_ports4 goto refuse
    ip6 daddr . th dport @net_ports6 goto refuse
  }
  chain ${HOOK} {
    type filter hook output priority raw; policy accept;
    meta skuid != ${uids.first}-${uids.last} accept
    tcp flags & (syn | ack) == syn tcp dport @local_ports fib daddr type local goto refuse
    ${own} goto denied
  }
}
`
}

/** The chain that the kernel calls. */
export const HOOK = 'output'

/** Deletes the table, whether it is there or not. */
export function replacing(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`
}

function set(name: string, type: string, elements: readonly string[], flags = ''): string {
  const content = elements.length > 0 ? ` elements = { ${elements.join(', ')} }` : ''
  return `  set ${name} { type ${type};${flags}${content} }`
}

function netSet(name: string, family: Net['family'], deny: readonly NetworkTarget[]): string {
  const nets = deny.flatMap(({ net, port }) => (net?.family === family && port === undefined ? [net] : []))
  return set(name, `ipv${family}_addr`, widest(nets).map(netText), ' flags interval;')
}

/** Nets with a port take Linux 5.6; a set without any is of a kind that is older. */
function netPortSet(name: string, family: Net['family'], deny: readonly NetworkTarget[]): string {
  const byPort = new Map<number, Net[]>()
  for (const { net, port } of deny) {
    if (net?.family === family && port !== undefined) byPort.set(port, [...(byPort.get(port) ?? []), net])
  }
  const elements = [...byPort].flatMap(([port, nets]) => widest(nets).map((net) => `${netText(net)} . ${port}`))
  const flags = elements.length > 0 ? ' flags interval;' : ''
  return set(name, `ipv${family}_addr . inet_service`, elements, flags)
}

function portsOf(deny: readonly NetworkTarget[]): string[] {
  return [...new Set(deny.flatMap(({ net, port }) => (net || port === undefined ? [] : [String(port)])))]
}

/** Without those that lie in another one: the elements of a set may not overlap. */
function widest(nets: readonly Net[]): Net[] {
  const covered = new BlockList()
  return nets
    .toSorted((one, other) => one.bits - other.bits)
    .filter(({ family, address, bits }) => {
      const kind = `ipv${family}` as const
      if (covered.check(address, kind)) return false
      covered.addSubnet(address, bits, kind)
      return true
    })
}

function netText({ address, bits }: Net): string {
  return `${address}/${bits}`
}
