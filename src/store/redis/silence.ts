import type { Redis } from 'ioredis'
import { Patience } from '../../time/patience.js'

/**
 * Gives a connection up on which so long nothing has come though an answer is due; ioredis then makes another. Its own
 * `socketTimeout` would do the same after a pause of this process, before it reads what has come.
 */
export class SilenceWatch {
  #patience: Patience | undefined
  #stream: Redis['stream'] | undefined
  #heardBytes = 0

  constructor(
    private readonly redis: Redis,
    private readonly limitMs: number,
  ) {
    // From then on ioredis asks by itself, before anybody else may.
    redis.on('connect', () => this.begin())
  }

  /** Call when something is being asked: from then on it is watched until nothing is due any more. */
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
