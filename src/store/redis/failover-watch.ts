import type { Redis } from 'ioredis'
import type { Sentinels } from './sentinels.js'

const LOOK_MS = 250

/**
 * While a connection is in use, asks a Sentinel several times a second whether there has been a failover, and then drops the
 * connection: a primary that was stopped or cut off goes on accepting writes for some seconds, which it loses as soon as
 * it becomes a replica. Used on the thread of the connection.
 */
export class FailoverWatch {
  #timer: NodeJS.Timeout | undefined
  #isUsed = false

  constructor(
    private readonly redis: Redis,
    private readonly sentinels: Sentinels,
  ) {
    // ioredis sends commands of its own from then on.
    redis.on('connect', () => this.begin())
  }

  /** Call when a command is sent. */
  begin(): void {
    this.#isUsed = true
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref()
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.sentinels.release()
  }

  async #look(): Promise<void> {
    const { redis } = this
    if (!this.#isUsed && redis.commandQueue.length === 0) return this.end()
    this.#isUsed = false
    const { stream } = redis
    if ((await this.sentinels.hasMoved()) && stream === redis.stream)
      stream.destroy(new Error('its Sentinels have replaced it'))
  }
}
