import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { makeTempDir } from '../../harness/agent.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'

/** A span as OTLP's JSON has it. */
export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
  readonly status?: { readonly code: number; readonly message?: string }
}

/** A collector of spans: an HTTP server that takes OTLP's JSON, and answers as it is told to. */
export class Collector {
  readonly spans: Span[] = []
  requests = 0
  connections = 0
  /** undefined: none; requests hang. */
  status: number | undefined = 200
  /** Of each answer. */
  headers: Readonly<Record<string, string>> = {}
  /** The value of the header `authorization` without which it answers 401; undefined: anything. */
  authorization: string | undefined

  private readonly server: Server

  /** `create`: of the server; by default it is without TLS. */
  constructor(create: (listener: RequestListener) => Server = createServer) {
    this.server = create(async (request, response) => {
      this.requests++
      const body = await text(request)
      if (this.status === undefined) return
      const isKnown = this.authorization === undefined || request.headers.authorization === this.authorization
      const status = isKnown ? this.status : 401
      response.writeHead(status, { 'content-type': 'application/json', ...this.headers }).end('{}')
      if (status !== 200 || request.url !== '/v1/traces') return
      const { resourceSpans } = JSON.parse(body)
      for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) this.spans.push(...spans)
    })
    this.server.on('connection', () => this.connections++)
  }

  /** On a port of the loopback, by default a free one; answers the port. */
  async listen(port = 0): Promise<number> {
    this.server.listen(port, '127.0.0.1')
    await once(this.server, 'listening')
    this.server.unref()
    return (this.server.address() as AddressInfo).port
  }

  /** Closes connections that carry no request now. */
  closeIdle(): void {
    this.server.closeIdleConnections()
  }

  close(): void {
    this.server.close()
    this.server.closeAllConnections()
  }
}

/**
 * A collector that wants a certificate of its own authority, and a header; with the keys of the configuration that have
 * both.
 */
export async function guardedCollector() {
  const { authority, agent } = await makeCertificates()
  const own = await authority.issue({ subject: 'CN=collector', san: [{ type: 'ip', value: '127.0.0.1' }] })
  const guard = { ca: authority.cert, ...own, requestCert: true, rejectUnauthorized: true }
  const collector = new Collector((listener) => createTlsServer(guard, listener) as unknown as Server)
  collector.authorization = 'Bearer a-secret'
  const dir = makeTempDir('flux-collector-')
  const { caCert, certFile, keyFile } = writeAgentFiles(dir, authority, agent)
  const headersFile = join(dir, 'headers')
  writeFileSync(headersFile, '\nAuthorization: Bearer a-secret\r\nx-scope-orgid:tenant-1\n', { mode: 0o600 })
  return {
    collector,
    keys: { headers_file: headersFile, ca_cert: caCert, cert_file: certFile, key_file: keyFile },
  }
}
