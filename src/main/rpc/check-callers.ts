import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js'
import { CallerRefused, type Callers } from '../../tls/callers.js'
import type { Connections } from './connections.js'
import { Uploads } from './uploads.js'

/**
 * Checks each caller by its certificate, before any of its message is read; refuses and reports others, and closes their
 * connection.
 * Limits how many uploads are read at once.
 *
 * grpc-js passes a call whose deadline expires before its request is complete to the handler, and never tells it of the
 * expiry: what it started would have no caller and no end. Behind an interceptor such a call is dropped.
 */
export function checkCallers(
  callers: Callers,
  connections: Connections,
  report: (problem: string, peer: string) => void,
): ServerInterceptor {
  const uploads = new Uploads()
  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        try {
          if (callers.check(call) === 'first call') connections.known(call.getConnectionInfo())
        } catch (error) {
          if (!(error instanceof CallerRefused)) throw error
          call.sendStatus({ code: error.code, details: error.message })
          connections.refused(call.getConnectionInfo())
          report(error.message, call.getPeer())
          return
        }
        next(uploads.listener(path))
      },
    })
}
