import type { Redis } from 'ioredis'
import { Patience } from '../../time/patience.js'

/**
 * Drops a connection on which an answer is due and nothing has come for `limitMs`; ioredis then reconnects. Its own
 * `socketTimeout` would do so after a pause of this process, before it reads what has arrived.
 */
export class SilenceWatch {
  #patience: Patience | undefined
  #stream: Redis['stream'] | undefined
  #heardBytes = 0

  constructor(
    private readonly redis: Redis,
    private readonly limitMs: number,
  ) {
    // ioredis sends commands of its own from then on.
    redis.on('connect', () => this.begin())
  }

  /** Call when a command is sent: watches until no answer is due. */
  begin(): void {
    this.#patience ??= new Patience(
      this.limitMs,
      () => this.#giveUp(),
      () => this.#moved(),
    )
  }

  end(): void {
    this.#patience?.end()
    this.#patience = undefined
  }

  #moved(): boolean {
    const { stream, commandQueue } = this.redis
    if (commandQueue.length === 0) this.end()
    const moved = stream !== this.#stream || stream.bytesRead !== this.#heardBytes
    this.#stream = stream
    this.#heardBytes = stream?.bytesRead ?? 0
    return moved
  }

  #giveUp(): void {
    this.#patience = undefined
    this.redis.stream?.destroy(new Error(`no answer for ${this.limitMs / 1000} s`))
  }
}
