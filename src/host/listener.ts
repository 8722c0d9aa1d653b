import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentConfig } from '../config/config.js'
import { platform } from '../os/index.js'

const EVERYWHERE = '::'
/** Errors of binding the IPv6 wildcard on a machine without IPv6. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT', 'EINVAL'])
const RETRY_MS = 100
/** How long a taken port is retried: the kernel may have given it to a short outgoing connection. */
const PATIENCE_MS = 5_000

type Address = Pick<AgentConfig, 'host' | 'port'>

/**
 * Listens on an address of this machine. EVERYWHERE: on all addresses; IPv4 alone where there is no IPv6. Rejects with
 * the system's error.
 */
export async function openListener({ host, port }: Address): Promise<Server> {
  return bind(host, port).catch((error: NodeJS.ErrnoException) => {
    if (host === EVERYWHERE && NO_IPV6.has(error.code ?? '')) return bind('0.0.0.0', port)
    throw error
  })
}

/** As openListener, but retries for some seconds where the port is taken; `taken` is called once, at once. */
export async function awaitListener(address: Address, taken: (error: NodeJS.ErrnoException) => void): Promise<Server> {
  const end = performance.now() + PATIENCE_MS
  for (let reported = false; ; await sleep(RETRY_MS)) {
    try {
      return await openListener(address)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || performance.now() >= end) throw error
      if (!reported) taken(error as NodeJS.ErrnoException)
      reported = true
    }
  }
}

/** The listener's address, for messages. */
export function describeListener(listener: Server): string {
  const { host, port } = boundTo(listener)
  return host === EVERYWHERE ? `[::]:${port} (IPv6 and IPv4)` : `${host.includes(':') ? `[${host}]` : host}:${port}`
}

export function boundTo(listener: Server): { readonly host: string; readonly port: number } {
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return { host: address.address, port: address.port }
}

/** Why an address cannot be listened on, and the fix. */
export interface ListenProblem {
  readonly message: string
  readonly fix: string
}

export function listenProblem({ host, port }: Address, error: NodeJS.ErrnoException): ListenProblem {
  switch (error.code) {
    case 'EADDRINUSE':
      return takenProblem(port)
    case 'EADDRNOTAVAIL':
      return {
        message: 'this machine does not have that address',
        fix: 'give another host, or leave it out to listen on all of them',
      }
    case 'EAFNOSUPPORT':
      return { message: `this machine has no IPv${host.includes(':') ? 6 : 4}`, fix: 'give another host' }
    case 'EACCES':
      return { message: 'only root may', fix: 'run the agent as root, or give a port over 1023' }
    default:
      return { message: error.message, fix: 'give another host or port' }
  }
}

function takenProblem(port: number): ListenProblem {
  const holder = platform.portHolder(port)
  const who = holder?.process && `process ${holder.process.pid} (${holder.process.command})`
  if (holder && !holder.listens) {
    return {
      message: `an outgoing connection has that port${who ? `, of ${who}` : ''}`,
      fix: `keep it free with \`sysctl net.ipv4.ip_local_reserved_ports=${port}\` and start again, or give another port`,
    }
  }
  return {
    message: 'another program listens there',
    fix: `stop ${who ?? 'it'}, or give another host or port`,
  }
}

function bind(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true })
    server.once('error', reject)
    // Dual stack, independent of net.ipv6.bindv6only.
    server.listen({ host, port, ipv6Only: false }, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}
