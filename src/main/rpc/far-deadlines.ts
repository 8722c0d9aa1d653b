import type { Http2Server } from 'node:http2'
import type { Server, ServerCredentials } from '@grpc/grpc-js'
import { LONGEST_TIMER_MS } from '../../time/long-timer.js'

const HEADER = 'grpc-timeout'
/** Those of the units (gRPC over HTTP2, "Timeout") in which eight digits are more than a timer takes. */
const SECONDS_IN: Readonly<Record<string, number>> = { S: 1, M: 60, H: 3_600 }

/**
 * Has the server leave deadlines alone that are further away than a timer of Node reaches (24.8 days). grpc-js would cut
 * them to 32 bits, and end such a call at once; as it is, the caller gives up by itself. Call before it listens.
 */
export function allowFarDeadlines(server: Server): void {
  // There is no public way to the headers before grpc-js reads them.
  const factory = server as unknown as { createHttp2Server(credentials: ServerCredentials): Http2Server }
  const create = factory.createHttp2Server.bind(server)
  factory.createHttp2Server = (credentials) =>
    create(credentials).prependListener('stream', (_stream, headers) => {
      const [, digits, unit = ''] = /^(\d{1,8})([SMH])$/.exec(String(headers[HEADER])) ?? []
      if (Number(digits) * (SECONDS_IN[unit] as number) * 1000 > LONGEST_TIMER_MS) delete headers[HEADER]
    })
}
