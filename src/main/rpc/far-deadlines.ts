import type { Server } from '@grpc/grpc-js'
import { LONGEST_TIMER_MS } from '../../time/long-timer.js'
import { onHttp2Server } from './http2-server.js'

const HEADER = 'grpc-timeout'
/** The units of grpc-timeout (gRPC over HTTP2, "Timeout") in which eight digits can exceed a timer. */
const SECONDS_IN: Readonly<Record<string, number>> = { S: 1, M: 60, H: 3_600 }

/**
 * Makes the server ignore deadlines beyond the reach of a Node timer (24.8 days). grpc-js would cut them to 32 bits and
 * end such a call at once; the caller enforces them itself. Call before the server listens.
 */
export function allowFarDeadlines(server: Server): void {
  // grpc-js has no public hook before it reads the headers.
  onHttp2Server(server, (below) => {
    below.prependListener('stream', (_stream, headers) => {
      const timeout = headers[HEADER]
      if (timeout === undefined) return
      const [, digits, unit = ''] = /^(\d{1,8})([SMH])$/.exec(String(timeout)) ?? []
      if (Number(digits) * (SECONDS_IN[unit] as number) * 1000 > LONGEST_TIMER_MS) delete headers[HEADER]
    })
  })
}
