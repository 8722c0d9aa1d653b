import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as requestPlain } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import { type ClientTls, readClientTls, UNTRUSTED } from '../../access/client-tls.js'
import { unreadable } from '../../access/files.js'
import { parseHeaders } from '../../access/headers.js'
import type { TracesConfig } from '../../config/config.js'
import { withinPatience } from '../../time/patience.js'

const ANSWER_LIMIT_MS = 10_000
/** OTLP/HTTP, "Retryable Response Codes"; others mean that these spans will never be taken. */
const RETRYABLE: readonly number[] = [429, 502, 503, 504]
/** A collector cannot ask for a longer pause. */
const PAUSE_MAX_MS = 300_000
/** Alerts by which a server refuses the client's certificate, or asks for one (RFC 8446, 6.2). */
const CLIENT_REFUSED = /^ERR_SSL_\w*ALERT_(CERTIFICATE|UNKNOWN_CA|BAD_CERTIFICATE|HANDSHAKE|\w*ACCESS)/
/** One is enough: batches go one after the other. */
const KEPT = { keepAlive: true, maxSockets: 1 } as const

/** What a collector has made of spans. */
export type Taking =
  | { readonly kind: 'taken' }
  /** It never takes these spans. */
  | { readonly kind: 'refused'; readonly cause: string }
  /** It may take them another time. `pauseMs`: for how long it asks to be left alone. */
  | { readonly kind: 'away'; readonly cause: string; readonly pauseMs?: number }

/**
 * A collector of spans, by OTLP over HTTP. Its files are read again, so that renewed ones take effect: headers for each
 * request, certificates for each connection. Main thread, or that of a command.
 */
export class Collector {
  readonly #url: URL
  readonly #agent: PlainAgent
  readonly #headersFile: string | undefined

  constructor({ endpoint, headersFile, ...tls }: TracesConfig) {
    this.#url = new URL(endpoint)
    this.#agent = this.#url.protocol === 'https:' ? new FreshTlsAgent(tls) : new PlainAgent(KEPT)
    this.#headersFile = headersFile
  }

  /** Sends an ExportTraceServiceRequest in OTLP's JSON, unless it is closed meanwhile. Never rejects. */
  async send(body: string, closing?: AbortSignal): Promise<Taking> {
    const given = new AbortController()
    const signal = closing ? AbortSignal.any([closing, given.signal]) : given.signal
    const silent = () => new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`)
    try {
      return judge(await withinPatience(this.#post(body, signal), ANSWER_LIMIT_MS, silent))
    } catch (error) {
      given.abort()
      return { kind: 'away', cause: causeOf(error as NodeJS.ErrnoException) }
    }
  }

  /** Closes its connections. */
  close(): void {
    this.#agent.destroy()
  }

  async #post(body: string, signal: AbortSignal): Promise<IncomingMessage> {
    const headers = {
      'user-agent': 'flux-agent',
      ...(await this.#headers()),
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const options = { method: 'POST', headers, agent: this.#agent, signal }
    const request = (this.#agent instanceof TlsAgent ? requestTls : requestPlain)(this.#url, options)
    request.end(body)
    try {
      return await answerOf(request)
    } catch (error) {
      // The collector has closed the connection while nothing was sent.
      if (request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET')
        return this.#post(body, signal)
      throw error
    }
  }

  async #headers(): Promise<Record<string, string>> {
    const file = this.#headersFile
    if (file === undefined) return {}
    const contents = await readFile(file).catch((error: unknown) => {
      throw unreadable('headers_file', file, error)
    })
    return parseHeaders(file, contents)
  }
}

/** Reads the certificates for each connection. */
class FreshTlsAgent extends TlsAgent {
  constructor(private readonly tls: ClientTls) {
    super(KEPT)
  }

  override createConnection(...[options, done]: Parameters<TlsAgent['createConnection']>) {
    return super.createConnection({ ...options, ...readClientTls(this.tls) }, done)
  }
}

/** With its body read: the connection is then free for the next request. */
async function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  // It may fail after the answer, too.
  request.on('error', () => {})
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  answer.resume()
  await once(answer, 'end')
  return answer
}

function causeOf({ code = '', message }: NodeJS.ErrnoException): string {
  // What Node says of these names the address once more.
  if (code.startsWith('ECONN')) return code
  if (UNTRUSTED.test(code)) return `${message}; give the authority of its certificate in traces.ca_cert`
  if (CLIENT_REFUSED.test(code)) return `${message}; give one that it trusts in traces.cert_file and key_file`
  return message
}

function judge({ statusCode = 0, headers }: IncomingMessage): Taking {
  if (statusCode >= 200 && statusCode < 300) return { kind: 'taken' }
  const hint = statusCode === 401 || statusCode === 403 ? '; give its credentials in traces.headers_file' : ''
  const cause = `HTTP ${statusCode}${hint}`
  if (!RETRYABLE.includes(statusCode)) return { kind: 'refused', cause }
  const pauseMs = Math.min(PAUSE_MAX_MS, 1000 * Number(headers['retry-after']))
  return { kind: 'away', cause, ...(pauseMs > 0 && { pauseMs }) }
}
