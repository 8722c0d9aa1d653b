import { connect as connectTcp } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { AbstractConnector } from 'ioredis'
import { Backoff } from '../../time/backoff.js'
import { NoPrimary } from './errors.js'
import type { Sentinels } from './sentinels.js'

const FIRST_DELAY_MS = 50
const LONGEST_DELAY_MS = 1_000
/** For the server to close the connection that the agent has ended. */
const DISCONNECT_LIMIT_MS = 2_000

type Stream = Awaited<ReturnType<AbstractConnector['connect']>>

/**
 * Connects a client of ioredis to the Redis that Sentinels name, anew for each connection. ioredis' own one asks one
 * Sentinel after the other, takes the first answer, and begins with a false alarm after the last. `tls` absent: without
 * TLS.
 */
export function connectorTo(sentinels: Sentinels, family: number | undefined, tls: ConnectionOptions | undefined) {
  return class extends AbstractConnector {
    constructor() {
      super(DISCONNECT_LIMIT_MS)
    }

    override async connect(emit: (type: string, error: Error) => void): Promise<Stream> {
      this.connecting = true
      for (const backoff = new Backoff(FIRST_DELAY_MS, LONGEST_DELAY_MS); ; ) {
        try {
          const { host, port } = await sentinels.primary()
          if (this.connecting) return this.#open({ host, port, ...(family !== undefined && { family }) })
        } catch (error) {
          if (!(error instanceof NoPrimary)) throw error
          // A client whose connector rejects does not try again.
          if (this.connecting) emit('error', error)
        }
        if (this.connecting) await delay(backoff.failed(), undefined, { ref: false })
        if (!this.connecting) throw new Error('closed')
      }
    }

    #open(place: { host: string; port: number; family?: number }): Stream {
      const stream = tls ? connectTls({ ...place, ...tls }) : connectTcp(place)
      stream.once('error', (error) => {
        this.firstError = error
      })
      this.stream = stream
      return stream
    }
  }
}
