import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a port of the loopback, as a network has it. */
export interface Proxy {
  readonly port: number
  /** Breaks every connection. */
  cut(): void
  /** Resolves when the first of its connections is closed by the other side. */
  closed(): Promise<void>
  /** Nothing passes any more, in either direction, and nobody is told. */
  stall(): void
}

/** Opens a way to that port. Ends with the test process. */
export async function openProxy(to: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const closing = new EventEmitter()
  let stalled = false
  const server = createServer((from) => {
    const onward = connect(to, '127.0.0.1')
    for (const [socket, other] of [
      [from, onward],
      [onward, from],
    ] as const) {
      sockets.add(socket)
      socket.on('data', (data) => stalled || other.write(data))
      socket.on('end', () => stalled || other.end())
      socket.on('close', () => stalled || other.destroy())
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    onward.on('close', () => closing.emit('closed'))
  })
  const closed = once(closing, 'closed')
  await once(server.listen(0, '127.0.0.1'), 'listening')
  server.unref()
  return {
    port: (server.address() as AddressInfo).port,
    closed: async () => void (await closed),
    cut() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
    stall() {
      stalled = true
      for (const socket of sockets) socket.unref()
    },
  }
}
