import { Redis } from 'ioredis'
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.js'
import type { Target } from '../targets/target.js'

/** Finds a record's status, however long the output after it. */
const RECORD_HEAD_BYTES = 1024

/** The contract's key. */
export const recordKey = (id: string) => `flux:exec:${id}`
const outputKey = (id: string) => `flux:exec-output:${id}`

/** Reads what a target stored of an execution, without asking the target. */
export interface StoredExecutions {
  /** The record's status; undefined where there is no record. */
  status(id: string): Promise<string | undefined>
  /** Bytes stored so far. */
  output(id: string): Promise<Buffer>
  close(): Promise<void>
}

/** Bytes that others than the bench sent to Redis since its start. */
export interface RedisTraffic {
  readonly bytes: number
  readonly commands: number
}

/** Undefined where the target's store is not known. */
export function storedExecutions({ redisPort, embeddedStore }: Target): StoredExecutions | undefined {
  if (redisPort !== undefined) return new RedisExecutions(redisPort)
  return embeddedStore === undefined ? undefined : new EmbeddedExecutions(embeddedStore)
}

/** Reads an embedded store's folder. */
class EmbeddedExecutions implements StoredExecutions {
  private readonly store: EmbeddedStore

  constructor(path: string) {
    this.store = new EmbeddedStore(path)
  }

  async status(id: string): Promise<string | undefined> {
    return (await this.store.record(id))?.status
  }

  output(id: string): Promise<Buffer> {
    return this.store.output(id, 0, Number.MAX_SAFE_INTEGER)
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

/** Reads a Redis on the loopback. */
export class RedisExecutions implements StoredExecutions {
  private readonly redis: Redis
  private sentBytes = 0
  private sentCommands = 0

  constructor(port: number) {
    this.redis = new Redis(port)
  }

  async status(id: string): Promise<string | undefined> {
    const head = await this.ask('GETRANGE', recordKey(id), '0', String(RECORD_HEAD_BYTES - 1))
    return /"status":"(\w+)"/.exec(String(head))?.[1]
  }

  /** From the output's own key, as this agent stores it; else from the record, as in the contract. */
  async output(id: string): Promise<Buffer> {
    const output = await this.ask('GET', outputKey(id))
    if (output !== null) return output
    const record = await this.ask('GET', recordKey(id))
    return Buffer.from((record && (JSON.parse(record.toString()) as { output?: string }).output) ?? '')
  }

  async traffic(): Promise<RedisTraffic> {
    const stats = String(await this.ask('INFO', 'stats'))
    const of = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(stats)?.[1])
    return {
      bytes: of('total_net_input_bytes') - this.sentBytes,
      // Not counting this INFO.
      commands: of('total_commands_processed') - (this.sentCommands - 1),
    }
  }

  async close(): Promise<void> {
    this.redis.disconnect()
  }

  private async ask(command: string, ...args: readonly string[]): Promise<Buffer | null> {
    this.sentCommands++
    this.sentBytes += requestBytes([command, ...args])
    return (await this.redis.callBuffer(command, ...args)) as Buffer | null
  }
}

/** Bytes of a command as Redis counts it: an array of strings (RESP). */
function requestBytes(words: readonly string[]): number {
  const strings = words.map((word) => Buffer.byteLength(word)).map((length) => `$${length}`.length + length + 4)
  return strings.reduce((sum, bytes) => sum + bytes, `*${words.length}`.length + 2)
}
