import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'

/**
 * What happens to bytes: handed on; kept back both ways; only the answers kept back, so that what is asked is done and
 * nobody hears of it; handed on late.
 */
export type Passage =
  | { readonly kind: 'open' }
  | { readonly kind: 'blocked' }
  | { readonly kind: 'mute' }
  | { readonly kind: 'slow'; readonly ms: number }

/** One direction of a connection. Its bytes keep their order, whatever they have to wait for. */
class Lane {
  readonly #waiting: { readonly bytes: Buffer; readonly due: number }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly blocked: () => boolean,
    private readonly lateMs: () => number,
  ) {
    from.on('data', (bytes) => {
      this.#waiting.push({ bytes, due: performance.now() + this.lateMs() })
      this.flush()
    })
  }

  flush(): void {
    clearTimeout(this.#timer)
    while (this.#waiting.length > 0 && !this.blocked()) {
      const [next] = this.#waiting
      const waitMs = (next?.due ?? 0) - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.flush(), waitMs)
        return
      }
      this.to.write(this.#waiting.shift()?.bytes ?? '')
    }
    // As a network does: it takes no more than some from who sends into nothing.
    if (this.#waiting.length > 16) this.from.pause()
    else this.from.resume()
  }

  /** Hands on a part of what waits, be it half a command, before the connection breaks. */
  tear(): void {
    const [next] = this.#waiting
    if (next) this.to.write(next.bytes.subarray(0, next.bytes.length >> 1))
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}

/** A TCP proxy on the loopback whose network can be spoilt. */
export class SpoiltNetwork {
  #passage: Passage = { kind: 'open' }
  #refusing = false
  readonly #connections = new Set<{ readonly sockets: readonly Socket[]; readonly lanes: readonly Lane[] }>()
  readonly #server: Server

  private constructor(private readonly target: number) {
    this.#server = createServer((client) => this.#accept(client))
  }

  static async start(target: number): Promise<SpoiltNetwork> {
    const proxy = new SpoiltNetwork(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    // A test that failed before it could close it must not wait for it.
    proxy.#server.unref()
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return address.port
  }

  set passage(passage: Passage) {
    this.#passage = passage
    for (const { lanes } of this.#connections) for (const lane of lanes) lane.flush()
  }

  /** New connections are ended at once. */
  set refusing(refusing: boolean) {
    this.#refusing = refusing
  }

  /** Breaks all connections, each in the middle of what is under way. */
  cut(): void {
    for (const { sockets, lanes } of this.#connections) {
      for (const lane of lanes) lane.tear()
      for (const socket of sockets) socket.destroySoon()
    }
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy()
      return
    }
    const server = new Socket()
    server.connect(this.target, '127.0.0.1')
    const lateMs = () => (this.#passage.kind === 'slow' ? this.#passage.ms : 0)
    const lanes = [
      new Lane(client, server, () => this.#passage.kind === 'blocked', lateMs),
      new Lane(server, client, () => this.#passage.kind === 'blocked' || this.#passage.kind === 'mute', lateMs),
    ]
    const connection = { sockets: [client, server], lanes }
    this.#connections.add(connection)
    const end = () => {
      if (!this.#connections.delete(connection)) return
      for (const lane of lanes) lane.close()
      for (const socket of connection.sockets) socket.destroySoon()
    }
    for (const socket of connection.sockets) {
      socket.setNoDelay(true)
      socket.unref()
      socket.on('error', end)
      socket.on('close', end)
    }
  }
}
