import type { Redis } from 'ioredis'
import type { Sentinels } from './sentinels.js'

/** Why an answer does not count, or a connection is dropped. */
export const REPLACED = 'its Sentinels have replaced it'

const LOOK_MS = 250
/** No failover takes less. */
const SLOW_MS = 500

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

  /**
   * Whether an answer that took so long may be lost: a primary that was stopped and goes on answers what it was sent, and
   * becomes a replica of the one that has replaced it meanwhile. Drops the connection then.
   */
  async isVoid(tookMs: number): Promise<boolean> {
    if (tookMs < SLOW_MS) return false
    const { stream } = this.redis
    const moved = await this.sentinels.haveMoved()
    if (moved) this.#drop(stream)
    return moved
  }

  async #look(): Promise<void> {
    const { redis } = this
    if (!this.#isUsed && redis.commandQueue.length === 0) return this.end()
    this.#isUsed = false
    const { stream } = redis
    if (await this.sentinels.hasMoved()) this.#drop(stream)
  }

  #drop(stream: Redis['stream']): void {
    if (stream === this.redis.stream) stream.destroy(new Error(REPLACED))
  }
}
