import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { type ServerInterceptingCallInterface, status } from '@grpc/grpc-js'
import type { TlsConfig } from '../config/config.js'

/** Decides whether a call may proceed. Main thread only. */
export interface Callers {
  /** Throws CallerRefused. Cheap after a connection's first call. */
  check(call: IncomingCall): 'first call' | 'known'
}

export interface ChangeableCallers extends Callers {
  /** Allows the clients of these names, and no others, from their next call on. */
  allow(names: readonly string[]): void
}

/** The part of a server's call that identifies the caller. */
export type IncomingCall = Pick<ServerInterceptingCallInterface, 'getAuthContext'>

/** Answered as a gRPC status, with this code and message. */
export class CallerRefused extends Error {
  override readonly name = 'CallerRefused'
  readonly code = status.PERMISSION_DENIED
}

/** Allows callers whose certificate has a configured name; everybody where there is no TLS. */
export function allowedCallers(tls: TlsConfig | undefined): ChangeableCallers {
  let allowedClients = tls?.allowedClients
  let allowed = new WeakSet<object>()
  return {
    check(call) {
      const session = sessionOf(call)
      if (session && allowed.has(session)) return 'known'
      if (allowedClients) refuseOthers(call, allowedClients)
      if (session) allowed.add(session)
      return 'first call'
    },
    allow(names) {
      allowedClients = names
      allowed = new WeakSet()
    },
  }
}

function refuseOthers(call: IncomingCall, allowedClients: readonly string[]): void {
  const peer = call.getAuthContext().sslPeerCertificate
  if (!peer) throw new CallerRefused('a client certificate is required')
  if (isNamed(peer, allowedClients)) return
  throw new CallerRefused(`caller ${describe(peer)} is not among tls.allowed_clients of this agent`)
}

/**
 * The connection of a call. Its certificate never changes, since HTTP/2 forbids renegotiation, and reading it costs 20
 * µs a call, a sixth of the agent's throughput. grpc-js has no public access to the connection: if a version moves it,
 * the certificate is read for every call.
 */
function sessionOf(call: object): object | undefined {
  const session = (call as { stream?: { session?: unknown } }).stream?.session
  return typeof session === 'object' && session !== null ? session : undefined
}

/**
 * Compares the CN and the DNS SANs. OpenSSL compares names inside the certificate; the printed SAN is never parsed,
 * since one name in it can pose as several. A certificate with several CNs has none.
 */
function isNamed(peer: PeerCertificate, names: readonly string[]): boolean {
  const commonName: unknown = peer.subject?.CN
  const certificate = new X509Certificate(peer.raw)
  return names.some((name) => {
    if (commonName === name) return true
    const found = certificate.checkHost(name, { subject: 'never', wildcards: false })
    // checkHost treats a name with a leading dot as a pattern.
    return found?.toLowerCase() === name.toLowerCase()
  })
}

/** The caller's names, escaped and cut: they are logged. */
function describe(peer: PeerCertificate): string {
  const names = JSON.stringify(peer.subject?.CN ?? '')
  return (peer.subjectaltname ? `${names} (${peer.subjectaltname})` : names).slice(0, 200)
}
