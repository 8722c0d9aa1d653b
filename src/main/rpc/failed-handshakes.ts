import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Server } from '@grpc/grpc-js'
import { onHttp2Server } from './http2-server.js'

/** A wrapped socket still knows the address after the TLS one is destroyed; Node has no public name for it. */
type Wrapping = TLSSocket & { readonly _parent?: Socket }

/** Codes of TLS, and of the certificate's check, by what the caller has to do about them. */
const PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [/^ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE$/, 'presents no certificate'],
  [/^ERR_SSL_(HTTP_REQUEST|WRONG_VERSION_NUMBER)$/, 'speaks no TLS'],
  [/^ERR_SSL_(UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW)$/, 'speaks no TLS of version 1.2 or later'],
  [/^ERR_SSL_\w*ALERT_\w*(CA|CERTIFICATE|EXPIRED|UNKNOWN)\w*$/, "does not trust this agent's certificate"],
  [/^CERT_HAS_EXPIRED$/, 'presents a certificate that has expired'],
  [/^CERT_NOT_YET_VALID$/, 'presents a certificate that is not valid yet'],
  [/^(CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)_/, 'presents a certificate that tls.ca_cert has not signed'],
]

/**
 * Reports why a caller's TLS handshake has failed, with its address and port. A connection that says nothing, or hangs up
 * before it has said anything, is no caller: balancers look at ports that way. Call before the server listens.
 */
export function onFailedHandshake(server: Server, report: (problem: string, peer: string) => void): void {
  onHttp2Server(server, (below) => {
    below.on('tlsClientError', ({ code = '' }: NodeJS.ErrnoException, socket: Wrapping) => {
      // The check of a certificate destroys the socket, for which TLS then has a code of its own.
      const reason = socket.authorizationError ? String(socket.authorizationError) : code
      const [, problem] = PROBLEMS.find(([codes]) => codes.test(reason)) ?? []
      const { remoteAddress, remotePort } = socket._parent ?? socket
      if (problem) report(`a caller ${problem} (${reason})`, `${remoteAddress}:${remotePort}`)
    })
  })
}
