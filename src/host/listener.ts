import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Endpoint, endpointText } from '../config/endpoint.js'
import { platform } from '../os/index.js'

const EVERYWHERE = '::'
/** Errors of binding the IPv6 wildcard on a machine without IPv6. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT', 'EINVAL'])
const RETRY_MS = 100
/** How long a taken port is retried: the kernel may have given it to a short outgoing connection. */
const PATIENCE_MS = 5_000

/**
 * Listens on an address of this machine. EVERYWHERE: on all addresses; IPv4 alone where there is no IPv6. Rejects with
 * the system's error. `server`: one that does not listen yet.
 */
export async function openListener({ host, port }: Endpoint, server = plainServer()): Promise<Server> {
  return bind(server, host, port).catch((error: NodeJS.ErrnoException) => {
    if (host === EVERYWHERE && NO_IPV6.has(error.code ?? '')) return bind(server, '0.0.0.0', port)
    throw error
  })
}

/** As openListener, but retries for some seconds where the port is taken; `taken` is called once, at once. */
export async function awaitListener(
  address: Endpoint,
  taken: (error: NodeJS.ErrnoException) => void,
  server = plainServer(),
): Promise<Server> {
  const end = performance.now() + PATIENCE_MS
  for (let reported = false; ; await sleep(RETRY_MS)) {
    try {
      return await openListener(address, server)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || performance.now() >= end) throw error
      if (!reported) taken(error as NodeJS.ErrnoException)
      reported = true
    }
  }
}

/** The listener's address, for messages. */
export function describeListener(listener: Server): string {
  const bound = boundTo(listener)
  const text = endpointText(bound)
  return bound.host === EVERYWHERE ? `${text} (IPv6 and IPv4)` : text
}

export function boundTo(listener: Server): Endpoint {
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return { host: address.address, port: address.port }
}

/** Why an address cannot be listened on, and the fix. */
export interface ListenProblem {
  readonly message: string
  readonly fix: string
}

export function listenProblem({ host, port }: Endpoint, error: NodeJS.ErrnoException): ListenProblem {
  switch (error.code) {
    case 'EADDRINUSE':
      return takenProblem(port)
    case 'EADDRNOTAVAIL':
      return {
        message: 'this machine does not have that address',
        fix: 'give one that it has, as 127.0.0.1, or one for all of them, as 0.0.0.0 or ::',
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

function plainServer(): Server {
  return createServer({ noDelay: true })
}

async function bind(server: Server, host: string, port: number): Promise<Server> {
  // Dual stack, independent of net.ipv6.bindv6only.
  server.listen({ host, port, ipv6Only: false })
  // Not by a callback of `listen`, which would stay after a failure.
  await once(server, 'listening')
  return server
}
