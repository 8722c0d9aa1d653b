import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js'
import type { Log } from '../../log/log.js'
import { CallerRefused, type Callers } from '../../tls/callers.js'
import type { Counts } from '../metrics/counts.js'
import type { Connections } from './connections.js'
import { Uploads } from './uploads.js'

/** A refused caller is logged once in this time, however often it calls. */
const NEWS_MS = 60_000
/** Refused callers remembered at a time: names in certificates may be made up. */
const NAMES_MAX = 100

/**
 * Checks each caller by its certificate, before any of its message is read; refuses others and closes their connection.
 * Limits how many uploads are read at once.
 *
 * grpc-js passes a call whose deadline expires before its request is complete to the handler, and never tells it of the
 * expiry: what it started would have no caller and no end. Behind an interceptor such a call is dropped.
 */
export function checkCallers(callers: Callers, connections: Connections, log: Log, counts?: Counts): ServerInterceptor {
  const logRefusal = logOnce(log)
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
          if (counts) counts.refusedCallers++
          logRefusal(error.message, peerText(call.getPeer()))
          return
        }
        next(uploads.listener(path))
      },
    })
}

/** ADDRESS:PORT with brackets around IPv6; a listener of both families shows IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
function peerText(peer: string): string {
  const at = peer.lastIndexOf(':')
  const host = peer.slice(0, at).replace(/^::ffff:(?=.*\.)/i, '')
  return `${host.includes(':') ? `[${host}]` : host}${peer.slice(at)}`
}

function logOnce(log: Log): (problem: string, peer: string) => void {
  const refused = new Map<string, number>()
  return (problem, peer) => {
    const times = refused.get(problem)
    if (times !== undefined) refused.set(problem, times + 1)
    if (times !== undefined || refused.size >= NAMES_MAX) return
    log.warn({ peer }, `refused: ${problem}`)
    refused.set(problem, 0)
    setTimeout(() => {
      const more = refused.get(problem)
      refused.delete(problem)
      if (more) log.warn({ calls: more }, `refused again: ${problem}`)
    }, NEWS_MS).unref()
  }
}
