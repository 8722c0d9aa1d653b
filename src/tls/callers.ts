import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { type ServerInterceptingCallInterface, status } from '@grpc/grpc-js'
import type { TlsConfig } from '../config/config.js'

/** Decides whether a call may proceed, unary or streaming. */
export interface Callers {
  /** Throws CallerRefused. Cheap after the first call of a connection. */
  check(call: IncomingCall): 'first call' | 'known'
}

export interface ChangeableCallers extends Callers {
  /** Lets in the clients of these names, and no others, from their next call on. */
  allow(names: readonly string[]): void
}

/** The part of a server's call that tells who calls, as an interceptor has it. */
export type IncomingCall = Pick<ServerInterceptingCallInterface, 'getAuthContext'>

/** A status for gRPC: its code and message are what the caller gets. */
export class CallerRefused extends Error {
  override readonly name = 'CallerRefused'
  readonly code = status.PERMISSION_DENIED
}

/** Callers that present a certificate named as configured; everybody where there is no TLS. */
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
 * The connection of a call. Its certificate never changes, as HTTP/2 forbids renegotiation, and asking for it costs 20 µs
 * a call, a sixth of the agent's whole throughput. grpc-js keeps the connection to itself: where a version
 * moves it, every call asks again.
 */
function sessionOf(call: object): object | undefined {
  const session = (call as { stream?: { session?: unknown } }).stream?.session
  return typeof session === 'object' && session !== null ? session : undefined
}

/**
 * By the single CN or a DNS SAN. OpenSSL compares the names inside the certificate; they are never parsed out of the
 * printed SAN, in which one name can pose as several. Of several CNs none counts.
 */
function isNamed(peer: PeerCertificate, names: readonly string[]): boolean {
  const commonName: unknown = peer.subject?.CN
  const certificate = new X509Certificate(peer.raw)
  return names.some((name) => {
    if (commonName === name) return true
    const found = certificate.checkHost(name, { subject: 'never', wildcards: false })
    // checkHost takes a name with a leading dot for all names below it.
    return found?.toLowerCase() === name.toLowerCase()
  })
}

/** The names as the caller sent them, escaped and cut: they go into a log. */
function describe(peer: PeerCertificate): string {
  const names = JSON.stringify(peer.subject?.CN ?? '')
  return (peer.subjectaltname ? `${names} (${peer.subjectaltname})` : names).slice(0, 200)
}
