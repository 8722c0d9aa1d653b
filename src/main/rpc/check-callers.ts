import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js'
import type { Log } from '../../log/log.js'
import { CallerRefused, type Callers } from '../../tls/callers.js'
import type { Connections } from './connections.js'
import { Uploads } from './uploads.js'

/** A refused caller is told of once in that time, however often it calls. */
const NEWS_MS = 60_000
/** Callers told of at once; whoever can have certificates issued can make up names. */
const NAMES_MAX = 100

/**
 * Answers a caller that may not call by its certificate alone, before any of its message is read, and has its
 * connection closed. Of those who may it reads so much at once as it can hold.
 *
 * grpc-js hands a call whose deadline passes before its request is whole to its handler all the same, and then never
 * tells the handler: what it starts would have no caller and no end. Behind any interceptor, such a call is dropped.
 */
export function checkCallers(callers: Callers, connections: Connections, log: Log): ServerInterceptor {
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
          logRefusal(error.message, call.getPeer())
          return
        }
        next(uploads.listener(path))
      },
    })
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
