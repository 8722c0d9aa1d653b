import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { Server, ServerCredentials } from '@grpc/grpc-js'

/** Hands over the HTTP/2 server below, which grpc-js keeps to itself. Call before the server listens. */
export function onHttp2Server(server: Server, use: (below: Http2Server | Http2SecureServer) => void): void {
  const factory = server as unknown as {
    createHttp2Server(credentials: ServerCredentials): Http2Server | Http2SecureServer
  }
  const create = factory.createHttp2Server.bind(server)
  factory.createHttp2Server = (credentials) => {
    const below = create(credentials)
    use(below)
    return below
  }
}
