import type { Log } from './log.js'

/** A refused caller is logged once in this time, however often it calls. */
const NEWS_MS = 60_000
/** Refused callers remembered at a time: names may be made up. */
const NAMES_MAX = 100

/** Logs why a caller is refused, with its address, at most once a minute for each reason. */
export function logRefusedCallers(log: Log): (problem: string, peer: string) => void {
  const refused = new Map<string, number>()
  return (problem, peer) => {
    const times = refused.get(problem)
    if (times !== undefined) refused.set(problem, times + 1)
    if (times !== undefined || refused.size >= NAMES_MAX) return
    log.warn({ peer: peerText(peer) }, `refused: ${problem}`)
    refused.set(problem, 0)
    setTimeout(() => {
      const more = refused.get(problem)
      refused.delete(problem)
      if (more) log.warn({ calls: more }, `refused again: ${problem}`)
    }, NEWS_MS).unref()
  }
}

/** ADDRESS:PORT with brackets around IPv6; a listener of both families shows IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
function peerText(peer: string): string {
  const at = peer.lastIndexOf(':')
  const host = peer.slice(0, at).replace(/^::ffff:(?=.*\.)/i, '')
  return `${host.includes(':') ? `[${host}]` : host}${peer.slice(at)}`
}
