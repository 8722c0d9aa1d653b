import { Redis } from 'ioredis'
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.js'
import type { Target } from '../targets/target.js'

/** Where a record's status stands, however long an output follows it. */
const RECORD_HEAD_BYTES = 1024

/** As the contract has it. */
export const recordKey = (id: string) => `flux:exec:${id}`
const outputKey = (id: string) => `flux:exec-output:${id}`

/** What a target has stored of an execution, looked up past the target. */
export interface StoredExecutions {
  /** As in the record; undefined where there is none. */
  status(id: string): Promise<string | undefined>
  /** So far. */
  output(id: string): Promise<Buffer>
  close(): Promise<void>
}

/** What Redis was sent by others than the bench, since it was started. */
export interface RedisTraffic {
  readonly bytes: number
  readonly commands: number
}

/** Undefined where it is not known what the target stores in. */
export function storedExecutions({ redisPort, embeddedStore }: Target): StoredExecutions | undefined {
  if (redisPort !== undefined) return new RedisExecutions(redisPort)
  return embeddedStore === undefined ? undefined : new EmbeddedExecutions(embeddedStore)
}

/** In the folder of an embedded store. */
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

/** In a Redis of the loopback. */
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

  /** From a key of its own, where this agent keeps it; else from the record, where the contract has it. */
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
      // This INFO is not among them yet.
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

/** Of a command as Redis counts it: an array of strings (RESP). */
function requestBytes(words: readonly string[]): number {
  const strings = words.map((word) => Buffer.byteLength(word)).map((length) => `$${length}`.length + length + 4)
  return strings.reduce((sum, bytes) => sum + bytes, `*${words.length}`.length + 2)
}
