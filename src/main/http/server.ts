import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Log } from '../../log/log.js'
import { logRefusedCallers } from '../../log/refused-callers.js'
import { foreignHost } from './allowed-hosts.js'

/** For a client that does not send its request, or does not read its answer. */
const REQUEST_MS = 10_000
const IDLE_MS = 60_000
const LOOK_MS = 5_000
/** A scraper needs one, a browser some. */
const CONNECTIONS_MAX = 64
const HEADERS_MAX = 16_384

export interface Answer {
  readonly status?: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** By path. */
export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>

const TEXT = 'text/plain; charset=utf-8'
/** Of every answer: nothing is kept, guessed or framed. */
const HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', 'X-Frame-Options': 'DENY' }

/** An answer of plain text. */
export function text(body: string, status = 200): Answer {
  return { status, type: TEXT, body: `${body}\n` }
}

/**
 * An HTTP server that answers GET and HEAD of these paths, to whoever calls this node by one of its names: an address,
 * localhost, its host name, and `allowedHosts`. It does not listen yet, and keeps no process alive.
 */
export function createHttpServer(routes: Routes, allowedHosts: readonly string[], log: Log): Server {
  const isForeign = foreignHost(allowedHosts)
  const logRefusal = logRefusedCallers(log)
  const answerTo = (request: IncomingMessage) => {
    const foreign = isForeign(request.headers.host)
    if (foreign === undefined) return answerOf(request, routes)
    const problem = `${JSON.stringify(foreign)} is not a name of this node`
    const { remoteAddress, remotePort } = request.socket
    logRefusal(
      `${problem} for metrics.listen; if it is one, add it to metrics.allowed_hosts`,
      `${remoteAddress}:${remotePort}`,
    )
    return text(`${problem}: use its address, or add the name to metrics.allowed_hosts`, 403)
  }
  const server = createServer(
    {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: LOOK_MS,
      maxHeaderSize: HEADERS_MAX,
      noDelay: true,
    },
    (request, response) => {
      void Promise.resolve()
        .then(() => answerTo(request))
        .catch((error: Error) => {
          log.error({ err: error, path: request.url }, 'an HTTP request failed: a defect')
          return text('internal error', 500)
        })
        .then((answer) => send(request, response, answer))
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  // A client that does not read its answer.
  server.setTimeout(IDLE_MS)
  return server
}

/** Stops listening, and closes what is open. */
export function closeHttpServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function answerOf({ method = '', url = '' }: IncomingMessage, routes: Routes): Answer | Promise<Answer> {
  const [path = ''] = url.split('?')
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (!route) return text(`not found; there are ${Object.keys(routes).join(', ')}`, 404)
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...text('only GET and HEAD are answered', 405), headers: { Allow: 'GET, HEAD' } }
  }
  return route()
}

function send(request: IncomingMessage, response: ServerResponse, { status = 200, type, body, headers }: Answer): void {
  response.writeHead(status, {
    ...HEADERS,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
