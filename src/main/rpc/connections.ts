import type { Server, Socket } from 'node:net'
import type { ConnectionInjector } from '@grpc/grpc-js'
import { WaitGroup } from '../executions/wait-group.js'

/** Connections that may be open without an allowed call; beyond it the oldest of them is closed. */
const STRANGERS_MAX = 256
/** Time for a refused caller to read its answer. What it sends meanwhile is discarded. */
const REFUSED_MS = 1_000

/** Identifies a connection by its two ends. */
export interface ConnectionEnds {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/**
 * The TCP connections of a gRPC server. Anybody who reaches the port can open some without a certificate, so those
 * without an allowed call are limited in number. Main thread only.
 */
export class Connections {
  private readonly open = new Map<string, Socket>()
  /** Connections without an allowed call so far, oldest first. */
  private readonly strangers = new Set<Socket>()
  private readonly sockets = new WaitGroup()

  /** Passes every connection of the listener to the server. */
  accept(listener: Server, server: Pick<ConnectionInjector, 'injectConnection'>): void {
    listener.on('connection', (socket) => {
      this.add(socket)
      server.injectConnection(socket)
    })
  }

  /** An allowed caller has called on this connection. */
  known(ends: ConnectionEnds): void {
    const socket = this.open.get(keyOf(ends))
    if (socket) this.strangers.delete(socket)
  }

  /** A caller was refused on this connection: closes it once the answer has had time to arrive. */
  refused(ends: ConnectionEnds): void {
    const socket = this.open.get(keyOf(ends))
    setTimeout(() => socket?.destroy(), REFUSED_MS).unref()
  }

  /** Resolves when no connection is open. */
  closed(): Promise<void> {
    return this.sockets.wait()
  }

  /** Closes all connections at once. */
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
    // The close event follows and says enough.
    socket.on('error', () => {})
    if (this.strangers.size <= STRANGERS_MAX) return
    const [oldest] = this.strangers
    oldest?.destroy()
  }
}

/** Unique among open connections. */
function keyOf({ localAddress, localPort, remoteAddress, remotePort }: ConnectionEnds): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`
}
