import type { StoreUnavailable } from '../store.js'
import type { RedisConnection } from './connection.js'
import { PLAIN_KEYS } from './keys.js'
import type { RedisNodes } from './nodes.js'
import type { RedisCommand, Reply, Sender } from './pipeline.js'
import { explained, sendTo } from './replies.js'

/** A Redis that is no cluster. */
export class SingleNode implements RedisNodes {
  readonly keys = PLAIN_KEYS
  readonly spread = false
  readonly address: string
  readonly firstContact: Promise<void>

  constructor(private readonly connection: RedisConnection) {
    this.address = connection.address
    this.firstContact = connection.firstContact
  }

  nodeOf(): string {
    return ''
  }

  watch(): void {}

  primaryOf(): string | undefined {
    if (!this.connection.hasSentinels) return undefined
    const { remoteAddress, remotePort } = this.connection.redis.stream
    return `${remoteAddress}:${remotePort}`
  }

  watchPrimaries(listener: () => void): void {
    if (this.connection.hasSentinels) this.connection.redis.on('ready', listener)
  }

  isReady(): boolean {
    return this.connection.isReady
  }

  ready(_key: string, limitMs: number): Promise<void> {
    return this.connection.ready(limitMs)
  }

  silent(_key: string, limitMs: number): StoreUnavailable {
    return this.connection.unavailable(new Error(`no answer within ${limitMs / 1000} s`))
  }

  wrote(): void {
    this.connection.wrote()
  }

  async each(): Promise<readonly Sender[]> {
    return [this]
  }

  async send(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    const asked = performance.now()
    const replies = explained(this.connection, await sendTo(this.connection, commands))
    if (!replies.some(([error]) => error)) await this.connection.confirm(performance.now() - asked)
    return replies
  }

  close(): void {
    this.connection.close()
  }
}
