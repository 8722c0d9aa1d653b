import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import type { AgentConfig } from '../config/config.js'
import { findPublicIp } from './public-ip.js'

/** Answers each request with the caller's address, as plain text. */
const PUBLIC_LOOKUP_URL = 'https://api.ipify.org'
const PUBLIC_LOOKUP_MS = 5000

/** This node's addresses, for functions. */
export interface NodeAddresses {
  readonly privateIp: string | undefined
  /** Undefined until it is known, and forever where the lookup fails. */
  readonly publicIp: string | undefined
  /** The addresses as environment variables. A new object only when an address becomes known. */
  readonly variables: Readonly<Record<string, string>>
  /** Ends the lookup of the public address. */
  close(): void
}

/**
 * The configured addresses; otherwise the first non-loopback IPv4, and the public address as seen by a web service,
 * which is asked in the background for at most five seconds.
 */
export function nodeAddresses(
  configured: AgentConfig['network'],
  lookup: { readonly url: string; readonly timeoutMs: number } = {
    url: PUBLIC_LOOKUP_URL,
    timeoutMs: PUBLIC_LOOKUP_MS,
  },
): NodeAddresses {
  const privateIp = configured.privateIp ?? firstIpv4(networkInterfaces())
  let { publicIp } = configured
  let variables = variablesOf(privateIp, publicIp)
  const closing = new AbortController()
  const find = async () => {
    publicIp ??= await findPublicIp(
      lookup.url,
      AbortSignal.any([closing.signal, AbortSignal.timeout(lookup.timeoutMs)]),
    )
    variables = variablesOf(privateIp, publicIp)
  }
  void find()
  return {
    privateIp,
    get publicIp() {
      return publicIp
    },
    get variables() {
      return variables
    },
    close: () => closing.abort(),
  }
}

/** The first IPv4 address that is not a loopback one. */
export function firstIpv4(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string | undefined {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

function variablesOf(privateIp: string | undefined, publicIp: string | undefined): Record<string, string> {
  return {
    ...(privateIp && { FLUX_NODE_PRIVATE_IP: privateIp }),
    ...(publicIp && { FLUX_NODE_PUBLIC_IP: publicIp }),
  }
}
