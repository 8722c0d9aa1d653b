import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { StoreLink } from '../../threads/store-calls.js'

/** With that of the main thread there are four to each Redis, however many workers there are. */
const MOST_CONNECTIONS = 3

/**
 * Says which workers connect to the store, and through which of these the others ask it: Redis takes 10,000 connections,
 * and may have a thousand agents. Main thread only.
 */
export class StoreLinks {
  /** The port of each worker that connects, with those of the workers that ask it. */
  private readonly connected = new Map<MessagePort, Set<MessagePort>>()

  /** A worker wants the store; `port` closes when it dies. */
  add(port: MessagePort): void {
    this.link(port)
    port.once('close', () => this.remove(port))
    port.unref()
  }

  private link(port: MessagePort): void {
    const [host] = [...this.connected].sort(([, some], [, others]) => some.size - others.size)
    if (!host || this.connected.size < MOST_CONNECTIONS) {
      this.connected.set(port, new Set())
      port.postMessage({ kind: 'connect' } satisfies StoreLink)
      return
    }
    const [server, sharers] = host
    sharers.add(port)
    const { port1, port2 } = new MessageChannel()
    server.postMessage({ kind: 'serve', port: port1 } satisfies StoreLink, [port1])
    port.postMessage({ kind: 'share', port: port2 } satisfies StoreLink, [port2])
  }

  private remove(port: MessagePort): void {
    const orphans = this.connected.get(port)
    this.connected.delete(port)
    for (const sharers of this.connected.values()) sharers.delete(port)
    for (const orphan of orphans ?? []) this.link(orphan)
  }
}
