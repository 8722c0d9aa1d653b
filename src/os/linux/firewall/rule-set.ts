import { BlockList } from 'node:net'
import type { FirewallRules, Net, NetworkTarget } from '../../platform.js'

/** The chain that the kernel calls. */
export const HOOK = 'output'

/** What a packet is compared with. */
interface Targets {
  readonly name: string
  readonly type: string
  /** Of a packet, with this type. */
  readonly key: string
  readonly elements: readonly string[]
}

/**
 * The commands for nft(8) that put a table with these rules in the place of one of that name, in one transaction. A
 * rule for each kind of target, however many there are.
 *
 * - Packets of other users pass after one comparison.
 * - It comes before the kernel changes addresses (NAT), so that a port which is published by a container's engine counts
 *   as one of this machine, and before connections are tracked: none has to be.
 * - Of TCP only what opens a connection is refused: a function answers whoever calls it, from whatever port.
 * - It is refused by a reset, so that connect(2) fails at once (ECONNREFUSED); other protocols fail at the send (EPERM).
 * - A socket may have no owner, as the one of TCP below AF_SMC: it opens no connection to the ports of this machine.
 */
export function ruleSet(table: string, { uids, localPorts, deny }: FirewallRules): string {
  const local: Targets = { name: 'local', type: 'inet_service', key: 'tcp dport', elements: localPorts.map(String) }
  const nets = [netsOf(4, deny), netsOf(6, deny)].filter(isUsed)
  const ports = [portsOf(deny), netPortsOf(4, deny), netPortsOf(6, deny)].filter(isUsed)
  const range = `${uids.first}-${uids.last}`
  return `${replacing(table)}table inet ${table} {
${[local, ...nets, ...ports].map(set).join('\n')}
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx type admin-prohibited
  }
  chain denied {
    meta l4proto tcp tcp flags & (syn | ack) != syn accept
${nets.map(refusal).join('\n')}
    meta l4proto != { tcp, udp, udplite, sctp, dccp } accept
${ports.map(refusal).join('\n')}
  }
  chain ${HOOK} {
    type filter hook output priority raw; policy accept;
    meta skuid != ${range} accept
    tcp flags & (syn | ack) == syn ${local.key} @${local.name} fib daddr type local goto refuse
    meta skuid ${range} goto denied
  }
}
`
}

/** Deletes the table, whether it is there or not. */
export function replacing(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`
}

function set({ name, type, elements }: Targets): string {
  const flags = type === 'inet_service' ? '' : ' flags interval;'
  const content = elements.length > 0 ? ` elements = { ${elements.join(', ')} }` : ''
  return `  set ${name} { type ${type};${flags}${content} }`
}

function refusal({ name, key }: Targets): string {
  return `    ${key} @${name} goto refuse`
}

function isUsed({ elements }: Targets): boolean {
  return elements.length > 0
}

function netsOf(family: Net['family'], deny: readonly NetworkTarget[]): Targets {
  const nets = deny.flatMap(({ net, port }) => (net?.family === family && port === undefined ? [net] : []))
  const elements = widest(nets).map(netText)
  return { name: `nets${family}`, type: `ipv${family}_addr`, key: addressKey(family), elements }
}

function portsOf(deny: readonly NetworkTarget[]): Targets {
  const ports = new Set(deny.flatMap(({ net, port }) => (net || port === undefined ? [] : [String(port)])))
  return { name: 'ports', type: 'inet_service', key: 'th dport', elements: [...ports] }
}

/** Takes Linux 5.6. */
function netPortsOf(family: Net['family'], deny: readonly NetworkTarget[]): Targets {
  const byPort = new Map<number, Net[]>()
  for (const { net, port } of deny) {
    if (net?.family === family && port !== undefined) byPort.set(port, [...(byPort.get(port) ?? []), net])
  }
  const elements = [...byPort].flatMap(([port, nets]) => widest(nets).map((net) => `${netText(net)} . ${port}`))
  const key = `${addressKey(family)} . th dport`
  return { name: `net_ports${family}`, type: `ipv${family}_addr . inet_service`, key, elements }
}

function addressKey(family: Net['family']): string {
  return family === 4 ? 'ip daddr' : 'ip6 daddr'
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
