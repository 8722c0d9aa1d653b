import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

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
  /** undefined: none; requests hang. */
  status: number | undefined = 200

  private readonly server = createServer(async (request, response) => {
    this.requests++
    const body = await text(request)
    if (this.status === undefined) return
    response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}')
    if (this.status !== 200 || request.url !== '/v1/traces') return
    const { resourceSpans } = JSON.parse(body)
    for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) this.spans.push(...spans)
  })

  /** On a port of the loopback, by default a free one; answers the port. */
  async listen(port = 0): Promise<number> {
    this.server.listen(port, '127.0.0.1')
    await once(this.server, 'listening')
    this.server.unref()
    return (this.server.address() as AddressInfo).port
  }

  close(): void {
    this.server.close()
    this.server.closeAllConnections()
  }
}
