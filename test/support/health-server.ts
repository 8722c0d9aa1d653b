import { connect } from 'node:tls'
import { credentials, Server, type ServerCredentials } from '@grpc/grpc-js'
import type { Certificates, Identity } from '../../harness/certificates.js'
import { checkCallers } from '../../src/main/rpc/check-callers.js'
import { Connections } from '../../src/main/rpc/connections.js'
import {
  AgentService,
  type AgentServiceClient,
  AgentServiceDefinition,
  type AgentServiceHandlers,
  TLS_SERVER_NAME,
} from '../../src/proto.js'
import type { Callers } from '../../src/tls/callers.js'

export interface HealthServer {
  readonly port: number
  /** Every call that reached the handler, by the caller's address and port. */
  readonly peers: readonly string[]
  close(): void
}

/** A gRPC server that answers HealthCheck, on loopback. */
export async function serveHealth(serverCredentials: ServerCredentials, callers?: Callers): Promise<HealthServer> {
  const interceptors = callers ? [checkCallers(callers, new Connections(), () => {})] : []
  const server = new Server({ interceptors })
  const peers: string[] = []
  const HealthCheck: AgentServiceHandlers['HealthCheck'] = (call, answer) => {
    peers.push(call.getPeer())
    answer(null, { healthy: true, version: 'test' })
  }
  server.addService(AgentServiceDefinition, { HealthCheck })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', serverCredentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  return { port, peers, close: () => server.forceShutdown() }
}

/** A client as Flux's, with the given certificate or none. */
export function healthClient(port: number, { authority }: Pick<Certificates, 'authority'>, identity?: Identity) {
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text))
  const security = credentials.createSsl(pem(authority.cert), pem(identity?.key), pem(identity?.cert))
  return new AgentService(`127.0.0.1:${port}`, security, {
    'grpc.ssl_target_name_override': TLS_SERVER_NAME,
    // Otherwise clients with the same options share one connection.
    'grpc.use_local_subchannel_pool': 1,
  })
}

export function plainClient(port: number): AgentServiceClient {
  return new AgentService(`127.0.0.1:${port}`, credentials.createInsecure())
}

/** One HealthCheck: `healthy`, or rejects with the ServiceError. */
export function checkHealth(client: AgentServiceClient): Promise<boolean> {
  return new Promise((resolve, reject) =>
    client.HealthCheck({}, { deadline: Date.now() + 5000 }, (error, answer) =>
      error ? reject(error) : resolve(answer?.healthy === true),
    ),
  )
}

/** What a handshake came to. */
export type Handshake =
  | {
      readonly kind: 'accepted'
      /** Of the server's certificate. */
      readonly serial: string
      readonly protocol: string | null
      readonly session: Buffer | undefined
      /** Whether the session given was taken up. */
      readonly resumed: boolean
    }
  | { readonly kind: 'refused'; readonly reason: string }

export interface HandshakeOptions {
  readonly identity?: Identity
  readonly version?: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly session?: Buffer | undefined
}

/** Connects without gRPC. `accepted` once the server has sent HTTP/2 settings, so that it has accepted the client too. */
export function handshake(port: number, authorityPem: string, options: HandshakeOptions = {}): Promise<Handshake> {
  const { identity, version, session } = options
  return new Promise((resolve) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      ca: authorityPem,
      servername: TLS_SERVER_NAME,
      ALPNProtocols: ['h2'],
      ...(identity && { cert: identity.cert, key: identity.key }),
      ...(version && { minVersion: version, maxVersion: version }),
      // OpenSSL's own default keeps a client from even offering TLS 1.1.
      ...(version === 'TLSv1.1' && { ciphers: 'DEFAULT@SECLEVEL=0' }),
      ...(session && { session }),
    })
    const done = (result: Handshake) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('data', () => {
      done({
        kind: 'accepted',
        serial: socket.getPeerCertificate().serialNumber,
        protocol: socket.getProtocol(),
        session: socket.getSession(),
        resumed: socket.isSessionReused(),
      })
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done({ kind: 'refused', reason: error.code ?? error.message }),
    )
    socket.once('close', () => done({ kind: 'refused', reason: 'closed' }))
  })
}
