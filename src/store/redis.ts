import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { Patience } from '../patience.js'
import { type FunctionSettings, functionJson } from './function.js'
import { type Gap, joinedGaps, readableEnd } from './gaps.js'
import { type ExecutionRecord, RECORD_TTL_MS } from './record.js'
import { parseRedisAddress } from './redis-address.js'
import { FUNCTION_PREFIX, putCommand, withdrawCommand } from './redis-functions.js'
import { type RedisCommand, runPipeline } from './redis-pipeline.js'
import { gapsKey, outputKey, recordKey, runningKey } from './redis-scripts.js'
import { SilenceWatch } from './redis-silence.js'
import { BEGUN, beginCommand, endCommand, refuseCommand, writeBatch } from './redis-writes.js'
import { OutcomeUnknown, type Store, StoreUnavailable, type StoreWrite } from './store.js'

/** How long reads and small writes wait for an answer. */
const ANSWER_LIMIT_MS = 2_000
/**
 * How long Redis may be silent while anything is unanswered before the connection is given up. Long, because a stopped
 * Redis carries out what it was sent once it goes on: a batch is not sent again on another connection before that.
 */
const SILENCE_LIMIT_MS = 10_000
const LONGEST_RECONNECT_DELAY_MS = 1_000
const READ_PART_BYTES = 4 * 1024 * 1024
const CHUNK_IDS = 500

/**
 * The store in Redis 4 or newer, on one connection that is made again for ever. Used on the thread that made it; any
 * number of threads, processes and machines may each have their own.
 */
export class RedisStore implements Store {
  readonly address: string
  readonly #redis: Redis
  readonly #silence: SilenceWatch
  /** The first attempt to connect has had its outcome, so that what is asked right after opening is not refused. */
  readonly #firstContact: Promise<void>
  #lastError: Error | undefined

  /** `address` as parseRedisAddress takes it; throws an Error where it is none. */
  constructor(address: string) {
    const { display, connection } = parseRedisAddress(address)
    this.address = display
    this.#redis = new Redis({
      ...connection,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // 0: what is unanswered when the connection breaks is rejected then, not after some attempts to reconnect.
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), LONGEST_RECONNECT_DELAY_MS),
      connectTimeout: ANSWER_LIMIT_MS,
      maxLoadingRetryTime: LONGEST_RECONNECT_DELAY_MS,
      keepAlive: 10_000,
    })
    this.#redis.on('error', (error) => {
      this.#lastError = error
    })
    this.#redis.on('ready', () => {
      this.#lastError = undefined
    })
    this.#silence = new SilenceWatch(this.#redis, SILENCE_LIMIT_MS)
    this.#firstContact = new Promise((resolve) => {
      const patience = new Patience(ANSWER_LIMIT_MS, resolve)
      for (const event of ['ready', 'close'] as const) {
        this.#redis.once(event, () => {
          patience.end()
          resolve()
        })
      }
    })
  }

  async functions(unreadable: (name: string, why: string) => void): Promise<FunctionSettings[]> {
    const { functionFromJson } = await functionJson()
    const keys = new Set<string>()
    let cursor = '0'
    do {
      const at = cursor
      const [next, found] = await this.#answer((redis) => redis.scan(at, 'MATCH', `${FUNCTION_PREFIX}*`, 'COUNT', 1000))
      for (const key of found) keys.add(key)
      cursor = next
    } while (cursor !== '0')

    const functions: FunctionSettings[] = []
    for (const chunk of chunks([...keys], CHUNK_IDS)) {
      const texts = await this.#answer((redis) => redis.mget(chunk))
      for (const [index, key] of chunk.entries()) {
        const name = key.slice(FUNCTION_PREFIX.length)
        try {
          functions.push(functionFromJson(name, texts[index] ?? ''))
        } catch (error) {
          unreadable(name, error instanceof Error ? error.message : String(error))
        }
      }
    }
    return functions
  }

  async putFunction(settings: FunctionSettings, registration: string = randomUUID()): Promise<void> {
    const { functionToJson } = await functionJson()
    const command = putCommand(settings.name, functionToJson(settings), registration)
    await this.#firstContact
    const sent = this.#redis.status === 'ready'
    try {
      await this.#answer((redis) => runPipeline(redis, [command]))
    } catch (error) {
      const { message, cause } = error as StoreUnavailable
      const refused = cause instanceof Error && cause.name === 'ReplyError'
      throw sent && !refused ? new OutcomeUnknown(message, { cause }) : error
    }
  }

  async withdrawFunction(settings: FunctionSettings, registration: string): Promise<void> {
    const { functionToJson } = await functionJson()
    const command = withdrawCommand(settings.name, functionToJson(settings), registration)
    await this.#answer((redis) => runPipeline(redis, [command]))
  }

  async begin(record: ExecutionRecord): Promise<boolean> {
    const [answer] = await this.#answer((redis) => runPipeline(redis, [beginCommand(record)]))
    return answer === BEGUN
  }

  async refuse(records: readonly ExecutionRecord[]): Promise<void> {
    for (const chunk of chunks(records, CHUNK_IDS)) {
      await this.#answer((redis) => runPipeline(redis, chunk.map(refuseCommand)))
    }
  }

  async exists(id: string): Promise<boolean> {
    return (await this.#answer((redis) => redis.exists(recordKey(id)))) === 1
  }

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    await this.#firstContact
    try {
      // Without a time limit of its own: see SILENCE_LIMIT_MS.
      this.#silence.begin()
      return await writeBatch(this.#redis, batch)
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  async record(id: string): Promise<ExecutionRecord | undefined> {
    return parseRecord(await this.#answer((redis) => ofType(redis.get(recordKey(id)), null)))
  }

  async output(id: string, from: number, to: number): Promise<Buffer> {
    const readable = readableEnd(await this.gaps(id), from, to)
    const parts: Buffer[] = []
    for (let at = from; at < readable; at += READ_PART_BYTES) {
      const end = Math.min(at + READ_PART_BYTES, readable)
      const part = await this.#answer((redis) =>
        ofType(redis.getrangeBuffer(outputKey(id), at, end - 1), Buffer.alloc(0)),
      )
      parts.push(part)
      if (part.length < end - at) break
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
  }

  async gaps(id: string): Promise<Gap[]> {
    const kept = await this.#answer((redis) => ofType(redis.hgetall(gapsKey(id)), {}))
    return joinedGaps(Object.entries(kept).map(([from, to]) => ({ from: Number(from), to: Number(to) })))
  }

  outputLength(id: string): Promise<number> {
    return this.#answer((redis) => ofType(redis.strlen(outputKey(id)), 0))
  }

  async renewLeases(ids: readonly string[]): Promise<void> {
    for (const chunk of chunks(ids, CHUNK_IDS)) {
      const commands = chunk.flatMap((id): RedisCommand[] => [
        { name: 'pexpire', keys: [recordKey(id)], args: [RECORD_TTL_MS] },
        { name: 'pexpire', keys: [outputKey(id)], args: [RECORD_TTL_MS] },
        { name: 'pexpire', keys: [gapsKey(id)], args: [RECORD_TTL_MS] },
      ])
      await this.#answer((redis) => runPipeline(redis, commands))
    }
  }

  async endLeftovers(agentId: string, error: string): Promise<number> {
    let ended = 0
    const running = runningKey(agentId)
    const [ids] = await this.#answer((redis) => runPipeline(redis, [{ name: 'smembers', keys: [running], args: [] }]))
    for (const chunk of chunks(ids as string[], CHUNK_IDS)) {
      const texts = await this.#answer((redis) => redis.mget(chunk.map(recordKey)))
      const commands: RedisCommand[] = []
      for (const [index, id] of chunk.entries()) {
        const record = parseRecord(texts[index])
        if (record?.status !== 'running' || record.agent_id !== agentId) {
          commands.push({ name: 'srem', keys: [running], args: [id] })
        } else {
          ended++
          commands.push(endCommand({ ...record, status: 'failed', error, status_at: new Date().toISOString() }))
        }
      }
      await this.#answer((redis) => runPipeline(redis, commands))
    }
    return ended
  }

  async purgeExpired(): Promise<void> {}

  async close(): Promise<void> {
    this.#silence.end()
    this.#redis.disconnect()
  }

  async #answer<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    await this.#firstContact
    this.#silence.begin()
    let patience: Patience | undefined
    const limit = new Promise<never>((_, reject) => {
      const silent = () => reject(new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`))
      patience = new Patience(ANSWER_LIMIT_MS, silent)
    })
    try {
      return await Promise.race([ask(this.#redis), limit])
    } catch (error) {
      throw this.#unavailable(error)
    } finally {
      patience?.end()
    }
  }

  /** While there is no connection, what ended it or keeps it from being made says more than what a command met. */
  #unavailable(error: unknown): StoreUnavailable {
    const cause = this.#redis.status === 'ready' ? error : (this.#lastError ?? new Error('not connected'))
    return new StoreUnavailable(`Redis at ${this.address}: ${describe(cause)}`, { cause })
  }
}

function parseRecord(text: string | null | undefined): ExecutionRecord | undefined {
  if (!text) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'execution_id' in value
      ? (value as ExecutionRecord)
      : undefined
  } catch {
    return undefined
  }
}

/** A key of another type than this command reads is not ours: as if it were not there. */
async function ofType<T>(reply: Promise<T>, absent: T): Promise<T> {
  try {
    return await reply
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return absent
    throw error
  }
}

/** An error of several addresses tried at once has no message of its own, only a code. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || ('code' in error ? String(error.code) : error.name)
}

function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
