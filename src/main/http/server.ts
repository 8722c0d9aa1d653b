import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Log } from '../../log/log.js'

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

/** An HTTP server that answers GET and HEAD of these paths. It does not listen yet, and keeps no process alive. */
export function createHttpServer(routes: Routes, log: Log): Server {
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
      void answerTo(request, routes)
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

async function answerTo({ method = '', url = '' }: IncomingMessage, routes: Routes): Promise<Answer> {
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
