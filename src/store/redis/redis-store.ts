import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { withinPatience } from '../../time/patience.js'
import type { FunctionSettings } from '../function.js'
import { type Gap, joinedGaps, readableEnd } from '../gaps.js'
import { functionJson } from '../load-function-json.js'
import { exercise, newProbe } from '../probe.js'
import { type ExecutionRecord, RECORD_TTL_MS } from '../record.js'
import {
  BEGIN_LIMIT_MS,
  type NameHolder,
  OutcomeUnknown,
  type Store,
  type StoreProblem,
  type StoreUnavailable,
  type StoreWrite,
} from '../store.js'
import type { RedisAccess } from './access.js'
import { Begins } from './begins.js'
import { RedisConnection } from './connection.js'
import { isCommandRefused, isReadOnly } from './errors.js'
import { FUNCTION_PREFIX, putCommand, withdrawCommand } from './functions.js'
import { claimCommand, lookCommands, nameHolder, releaseCommand } from './names.js'
import { type RedisCommand, runPipeline } from './pipeline.js'
import { commandsInScripts, deleteProbe } from './probe.js'
import { evictionProblem, scanProblem } from './review.js'
import { gapsKey, outputKey, recordKey, runningKey } from './scripts.js'
import { BEGUN, beginCommand, endCommand, refuseCommand, writeBatch } from './writes.js'

/** Time limit for reads and small writes. */
const ANSWER_LIMIT_MS = 2_000
/** How long a write that a replica refused waits for the connection to the new primary. */
const TAKEOVER_LIMIT_MS = 1_000
const READ_PART_BYTES = 4 * 1024 * 1024
const CHUNK_IDS = 500

/**
 * The store in Redis 4 or newer, on one connection that reconnects forever. Used on the thread that made it; several
 * threads, processes and machines may each have their own.
 */
export class RedisStore implements Store {
  readonly address: string
  readonly #connection: RedisConnection
  readonly #begins = new Begins(async (records) => {
    const answers = await this.#answer((redis) => runPipeline(redis, records.map(beginCommand)), BEGIN_LIMIT_MS)
    return answers.map((answer) => answer === BEGUN)
  })

  /** `address`: see parseRedisAddress. Throws AddressError and RedisFileError. */
  constructor(address: string, access: RedisAccess = {}) {
    this.#connection = new RedisConnection(address, access)
    this.address = this.#connection.address
  }

  async probe(): Promise<void> {
    const { functionToJson } = await functionJson()
    const probe = newProbe()
    const { settings, id } = probe
    const { name } = settings
    // XX: checks the right to write without writing, since every agent reads this key.
    const put: RedisCommand = { name: 'set', keys: [FUNCTION_PREFIX + name], args: [functionToJson(settings), 'XX'] }
    try {
      await this.#answer((redis) => runPipeline(redis, [put, ...commandsInScripts(probe)]))
      // A registration that is withdrawn first stores nothing.
      await this.withdrawFunction(settings, id)
      await this.putFunction(settings, id)
      await this.claimName(probe.agentId, id, ANSWER_LIMIT_MS)
      await this.claimName(probe.agentId, '', ANSWER_LIMIT_MS)
      await this.releaseName(probe.agentId, id)
      await exercise(this, probe)
    } finally {
      const withdrawn = putCommand(name, '', id).keys
      await this.#answer((redis) => runPipeline(redis, [deleteProbe(probe, withdrawn)])).catch(() => undefined)
    }
  }

  async warnings(): Promise<StoreProblem[]> {
    const ask = <T>(command: (redis: Redis) => Promise<T>) => this.#answer(command)
    return [...(await scanProblem(ask)), ...(await evictionProblem(ask))]
  }

  async functions(
    unreadable: (name: string, why: string) => void,
    known: readonly string[] = [],
  ): Promise<FunctionSettings[]> {
    const { functionFromJson } = await functionJson()
    const keys = await this.#functionKeys().catch((error: StoreUnavailable) => {
      if (isCommandRefused(error.cause)) return undefined
      throw error
    })
    const functions: FunctionSettings[] = []
    for (const chunk of chunks(keys ?? known.map((name) => FUNCTION_PREFIX + name), CHUNK_IDS)) {
      const texts = await this.#answer((redis) => redis.mget(chunk))
      for (const [index, key] of chunk.entries()) {
        const name = key.slice(FUNCTION_PREFIX.length)
        if (!keys && texts[index] === null) continue
        try {
          functions.push(functionFromJson(name, texts[index] ?? ''))
        } catch (error) {
          unreadable(name, error instanceof Error ? error.message : String(error))
        }
      }
    }
    return functions
  }

  async #functionKeys(): Promise<string[]> {
    const keys = new Set<string>()
    let cursor = '0'
    do {
      const at = cursor
      const [next, found] = await this.#answer((redis) => redis.scan(at, 'MATCH', `${FUNCTION_PREFIX}*`, 'COUNT', 1000))
      for (const key of found) keys.add(key)
      cursor = next
    } while (cursor !== '0')
    return [...keys]
  }

  async putFunction(settings: FunctionSettings, registration: string = randomUUID()): Promise<void> {
    const { functionToJson } = await functionJson()
    const command = putCommand(settings.name, functionToJson(settings), registration)
    await this.#connection.firstContact
    const sent = this.#connection.isReady
    // By the command's own answer: a StoreUnavailable may tell of what its connection met before.
    let refused = false
    const put = (redis: Redis) =>
      runPipeline(redis, [command]).catch((error: Error) => {
        refused = error.name === 'ReplyError'
        throw error
      })
    try {
      await this.#answer(put)
    } catch (error) {
      const { message, cause } = error as StoreUnavailable
      throw sent && !refused ? new OutcomeUnknown(message, { cause }) : error
    }
  }

  async withdrawFunction(settings: FunctionSettings, registration: string): Promise<void> {
    const { functionToJson } = await functionJson()
    const command = withdrawCommand(settings.name, functionToJson(settings), registration)
    await this.#answer((redis) => runPipeline(redis, [command]))
  }

  begin(record: ExecutionRecord): Promise<boolean> {
    return this.#begins.add(record)
  }

  async refuse(records: readonly ExecutionRecord[]): Promise<void> {
    for (const chunk of chunks(records, CHUNK_IDS)) {
      await this.#answer((redis) => runPipeline(redis, chunk.map(refuseCommand)))
    }
  }

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    await this.#connection.firstContact
    // The connection's time limit is enough.
    const taken = await this.#ask((redis) => writeBatch(redis, batch))
    this.#connection.wrote()
    return taken
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
    const found = await this.#answer((redis) => ofType(redis.hgetall(gapsKey(id)), {}))
    return joinedGaps(Object.entries(found).map(([from, to]) => ({ from: Number(from), to: Number(to) })))
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

  async endLeftovers(agentId: string, error: string, alive: ReadonlySet<string> = new Set()): Promise<number> {
    let ended = 0
    const running = runningKey(agentId)
    const [ids] = await this.#answer((redis) => runPipeline(redis, [{ name: 'smembers', keys: [running], args: [] }]))
    const left = (ids as string[]).filter((id) => !alive.has(id))
    for (const chunk of chunks(left, CHUNK_IDS)) {
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

  async claimName(agentId: string, holder: string, ms: number, replaced = ''): Promise<NameHolder | undefined> {
    const command = claimCommand(agentId, holder, ms, replaced)
    const [answer] = await this.#answer((redis) => runPipeline(redis, [command]))
    if (!Array.isArray(answer)) return undefined
    return nameHolder(answer[0], answer[1])
  }

  async nameHolder(agentId: string): Promise<NameHolder | undefined> {
    const [value, leftMs] = await this.#answer((redis) => runPipeline(redis, lookCommands(agentId)))
    return value === null ? undefined : nameHolder(value, leftMs)
  }

  async releaseName(agentId: string, holder: string): Promise<void> {
    await this.#answer((redis) => runPipeline(redis, [releaseCommand(agentId, holder)]))
  }

  async purgeExpired(): Promise<void> {}

  async close(): Promise<void> {
    this.#connection.close()
  }

  async #answer<T>(ask: (redis: Redis) => Promise<T>, limitMs = ANSWER_LIMIT_MS): Promise<T> {
    await this.#connection.firstContact
    return withinPatience(this.#askTwice(ask), limitMs, () =>
      this.#connection.unavailable(new Error(`no answer within ${limitMs / 1000} s`)),
    )
  }

  /** Asks once more, on a new connection, where a replica refused: after a failover that reaches the new primary. */
  async #askTwice<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#ask(ask)
    } catch (error) {
      if (!isReadOnly((error as StoreUnavailable).cause)) throw error
      await this.#connection.ready(TAKEOVER_LIMIT_MS)
      return this.#ask(ask)
    }
  }

  async #ask<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#connection.use()
    const asked = performance.now()
    const answer = await ask(redis).catch((error: unknown) => {
      throw this.#connection.unavailable(error)
    })
    await this.#connection.confirm(performance.now() - asked)
    return answer
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

/** A key of another type is not ours: it counts as absent. */
async function ofType<T>(reply: Promise<T>, absent: T): Promise<T> {
  try {
    return await reply
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return absent
    throw error
  }
}

function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
