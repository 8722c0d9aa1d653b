import type { Server, Socket } from 'node:net'
import type { ConnectionInjector } from '@grpc/grpc-js'
import { WaitGroup } from './wait-group.js'

/** Connections that may be open without a call by an allowed caller; one more, and the oldest of them is closed. */
const STRANGERS_MAX = 256
/** How long a refused caller has to read its answer. Whatever it sends meanwhile is thrown away as it comes. */
const REFUSED_MS = 1_000

/** Both ends of a connection. */
export interface ConnectionEnds {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/**
 * The TCP connections of a gRPC server. Whoever can reach the port can open some, and needs no certificate to hold them:
 * those without an allowed call are bounded in number. Main thread only.
 */
export class Connections {
  private readonly open = new Map<string, Socket>()
  /** Without an allowed call so far, the oldest first. */
  private readonly strangers = new Set<Socket>()
  private readonly sockets = new WaitGroup()

  /** Hands every connection of the listener to the server. */
  accept(listener: Server, server: Pick<ConnectionInjector, 'injectConnection'>): void {
    listener.on('connection', (socket) => {
      this.add(socket)
      server.injectConnection(socket)
    })
  }

  /** A caller that is allowed has called on this connection. */
  known(ends: ConnectionEnds): void {
    const socket = this.open.get(keyOf(ends))
    if (socket) this.strangers.delete(socket)
  }

  /** A caller has been refused on this connection: it ends when the answer has had time to arrive. */
  refused(ends: ConnectionEnds): void {
    const socket = this.open.get(keyOf(ends))
    setTimeout(() => socket?.destroy(), REFUSED_MS).unref()
  }

  /** Resolves when none is open. */
  closed(): Promise<void> {
    return this.sockets.wait()
  }

  /** Ends all that are left, whatever is under way on them. */
  destroy(): void {
    for (const socket of this.open.values()) socket.destroy()
  }

  private add(socket: Socket): void {
    const key = keyOf(socket)
    this.open.set(key, socket)
    this.sockets.add()
    this.strangers.add(socket)
    socket.once('close', () => {
      this.open.delete(key)
      this.strangers.delete(socket)
      this.sockets.done()
    })
    // Its end is all there is to know of it.
    socket.on('error', () => {})
    if (this.strangers.size <= STRANGERS_MAX) return
    const [oldest] = this.strangers
    oldest?.destroy()
  }
}

/** No two open connections have the same. */
function keyOf({ localAddress, localPort, remoteAddress, remotePort }: ConnectionEnds): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`
}
