import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { withinPatience } from '../../time/patience.js'
import type { FunctionSettings } from '../function.js'
import { type Gap, joinedGaps, readableEnd } from '../gaps.js'
import { functionJson } from '../load-function-json.js'
import { exercise, newProbe } from '../probe.js'
import { type ExecutionRecord, RECORD_TTL_MS } from '../record.js'
import {
  BEGIN_LIMIT_MS,
  idOf,
  type NameHolder,
  type NodesListener,
  OutcomeUnknown,
  type Store,
  type StoreProblem,
  type StoreUnavailable,
  type StoreWrite,
} from '../store.js'
import type { RedisAccess } from './access.js'
import { parseRedisAddress } from './address.js'
import { Begins } from './begins.js'
import { ClusterNodes } from './cluster.js'
import { RedisConnection } from './connection.js'
import { isReadOnly } from './errors.js'
import { FUNCTION_PREFIX, putCommand, withdrawCommand } from './functions.js'
import { claimCommand, lookCommands, nameHolder, releaseCommand } from './names.js'
import type { RedisNodes } from './nodes.js'
import { isWrongType, type RedisCommand, type Reply, runPipeline, type Sender } from './pipeline.js'
import { commandsInScripts, deleteProbe } from './probe.js'
import { RecentEnds } from './recent-ends.js'
import { type AskNode, evictionProblem, functionKeys, scanProblem } from './review.js'
import { SingleNode } from './single-node.js'
import { CLUSTER_SLOTS } from './topology.js'
import { BEGUN, beginCommand, endCommand, refuseCommand, writeBatch } from './writes.js'

/** Time limit for reads and small writes. */
const ANSWER_LIMIT_MS = 2_000
/** How long a write that a replica refused waits for the connection to the new primary. */
const TAKEOVER_LIMIT_MS = 1_000
/** Between attempts to write the last ends again. */
const ENDS_AGAIN_MS = 500
const READ_PART_BYTES = 4 * 1024 * 1024
const CHUNK_IDS = 500
/** What a node of a cluster is asked beside commands with keys. */
const ALONE: readonly RedisCommand[] = [{ name: 'asking', keys: [], args: [] }, CLUSTER_SLOTS]

/**
 * The store in Redis 4 or newer, on one connection, to each node of a cluster, that reconnects forever. Used on the
 * thread that made it; several threads, processes and machines may each have their own.
 */
export class RedisStore implements Store {
  readonly address: string
  readonly #nodes: RedisNodes
  /** By the node of the records. */
  readonly #ends = new RecentEnds()
  #endsAgain = false
  #closed = false
  readonly #begins = new Map<string, Begins>()

  /** `address`: see parseRedisAddress. Throws AddressError and AccessFileError. */
  constructor(address: string, access: RedisAccess = {}) {
    const parsed = parseRedisAddress(address)
    this.#nodes =
      parsed.kind === 'cluster' ? new ClusterNodes(parsed, access) : new SingleNode(new RedisConnection(parsed, access))
    this.address = this.#nodes.address
    this.#nodes.watchPrimaries(() => void this.#writeEndsAgain())
  }

  async probe(): Promise<void> {
    const { functionToJson } = await functionJson()
    const probe = newProbe()
    const { settings, id } = probe
    const { name } = settings
    // XX: checks the right to write without writing, since every agent reads this key.
    const put: RedisCommand = { name: 'set', keys: [FUNCTION_PREFIX + name], args: [functionToJson(settings), 'XX'] }
    try {
      await this.#run([put, ...commandsInScripts(this.#nodes.keys, probe)])
      // It counts for the next command, which has no key here.
      if (this.#nodes.spread) await this.#eachNode((node) => this.#run(ALONE, ANSWER_LIMIT_MS, node))
      // A registration that is withdrawn first stores nothing.
      await this.withdrawFunction(settings, id)
      await this.putFunction(settings, id)
      await this.claimName(probe.agentId, id, ANSWER_LIMIT_MS)
      await this.claimName(probe.agentId, '', ANSWER_LIMIT_MS)
      await this.releaseName(probe.agentId, id)
      await exercise(this, probe)
    } finally {
      const withdrawn = putCommand(name, '', id).keys
      await this.#run(deleteProbe(this.#nodes.keys, probe, withdrawn)).catch(() => undefined)
    }
  }

  async warnings(): Promise<StoreProblem[]> {
    const found = new Map<string, StoreProblem>()
    await this.#eachNode(async (node) => {
      const ask = this.#asking(node)
      for (const one of [...(await scanProblem(ask)), ...(await evictionProblem(ask))]) found.set(one.problem, one)
    })
    return [...found.values()]
  }

  async functions(
    unreadable: (name: string, why: string) => void,
    unlisted: (why: string) => Promise<readonly string[]> = async () => [],
  ): Promise<FunctionSettings[]> {
    const { functionFromJson } = await functionJson()
    const { keys: listed, problem } = await this.#functionKeys()
    const keys = problem
      ? (await unlisted(`${problem.problem}; ${problem.fix}`)).map((name) => FUNCTION_PREFIX + name)
      : listed
    const functions: FunctionSettings[] = []
    for (const chunk of chunks(keys, CHUNK_IDS)) {
      const texts = await this.#texts(chunk)
      for (const [index, key] of chunk.entries()) {
        const name = key.slice(FUNCTION_PREFIX.length)
        if (problem && texts[index] === null) continue
        try {
          functions.push(functionFromJson(name, texts[index] ?? ''))
        } catch (error) {
          unreadable(name, error instanceof Error ? error.message : String(error))
        }
      }
    }
    return functions
  }

  #asking(node: Sender): AskNode {
    return async (name, ...args) => {
      const [answer] = await this.#run([{ name, keys: [], args }], ANSWER_LIMIT_MS, node)
      return answer
    }
  }

  /** `problem`: why they cannot be listed. */
  async #functionKeys(): Promise<{ keys: readonly string[]; problem?: StoreProblem }> {
    const keys = new Set<string>()
    const problems: StoreProblem[] = []
    await this.#eachNode(async (node) => {
      const found = await functionKeys(this.#asking(node))
      if ('problem' in found) problems.push(found)
      else for (const key of found) keys.add(key)
    })
    const [problem] = problems
    return { keys: [...keys], ...(problem && { problem }) }
  }

  async putFunction(settings: FunctionSettings, registration: string = randomUUID()): Promise<void> {
    const { functionToJson } = await functionJson()
    const command = putCommand(settings.name, functionToJson(settings), registration)
    await this.#nodes.firstContact
    const sent = this.#nodes.isReady(FUNCTION_PREFIX + settings.name)
    // By the command's own answer: a StoreUnavailable may tell of what its connection met before.
    let refused = false
    const put: Sender = {
      send: async (commands) => {
        const replies = await this.#nodes.send(commands)
        refused = replies.some(([, , bySelf]) => bySelf)
        return replies
      },
    }
    try {
      await this.#run([command], ANSWER_LIMIT_MS, put)
    } catch (error) {
      const { message, cause } = error as StoreUnavailable
      throw sent && !refused ? new OutcomeUnknown(message, { cause }) : error
    }
  }

  async withdrawFunction(settings: FunctionSettings, registration: string): Promise<void> {
    const { functionToJson } = await functionJson()
    await this.#run([withdrawCommand(settings.name, functionToJson(settings), registration)])
  }

  nodeOf(id: string): string {
    return this.#nodes.nodeOf(this.#nodes.keys.record(id))
  }

  watchNodes(listener: NodesListener): void {
    this.#nodes.watch(listener)
  }

  begin(record: ExecutionRecord): Promise<boolean> {
    const node = this.nodeOf(record.execution_id)
    const begins = this.#begins.get(node) ?? new Begins((records) => this.#beginAll(records))
    this.#begins.set(node, begins)
    return begins.add(record)
  }

  async refuse(records: readonly ExecutionRecord[]): Promise<void> {
    for (const chunk of chunks(records, CHUNK_IDS)) {
      await this.#run(chunk.map((record) => refuseCommand(this.#nodes.keys, record)))
    }
  }

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    await this.#nodes.firstContact
    // The connection's time limit is enough.
    const taken = await writeBatch(this.#nodes, batch)
    this.#nodes.wrote()
    const ends = batch.filter((write) => write.kind === 'end')
    if (ends.length > 0 && this.#primaryOf(idOf(ends[0] as StoreWrite)) !== undefined) {
      const stored = taken.size > 0 ? ends.filter((end) => !taken.has(idOf(end))) : ends
      this.#ends.add(stored, (id) => this.#primaryOf(id) ?? '')
    }
    return taken
  }

  async record(id: string): Promise<ExecutionRecord | undefined> {
    const [text] = await this.#texts([this.#nodes.keys.record(id)])
    return parseRecord(text)
  }

  async output(id: string, from: number, to: number): Promise<Buffer> {
    const readable = readableEnd(await this.gaps(id), from, to)
    const parts: Buffer[] = []
    for (let at = from; at < readable; at += READ_PART_BYTES) {
      const end = Math.min(at + READ_PART_BYTES, readable)
      const keys = [this.#nodes.keys.output(id)]
      const part = await this.#read({ name: 'getrangeBuffer', keys, args: [at, end - 1] }, Buffer.alloc(0))
      parts.push(part)
      if (part.length < end - at) break
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
  }

  async gaps(id: string): Promise<Gap[]> {
    const found = await this.#read({ name: 'hgetall', keys: [this.#nodes.keys.gaps(id)], args: [] }, {})
    return joinedGaps(Object.entries(found).map(([from, to]) => ({ from: Number(from), to: Number(to) })))
  }

  outputLength(id: string): Promise<number> {
    return this.#read({ name: 'strlen', keys: [this.#nodes.keys.output(id)], args: [] }, 0)
  }

  async renewLeases(ids: readonly string[]): Promise<void> {
    const { keys } = this.#nodes
    for (const chunk of chunks(ids, CHUNK_IDS)) {
      const renewed = chunk.flatMap((id) => [keys.record(id), keys.output(id), keys.gaps(id)])
      await this.#run(renewed.map((key) => ({ name: 'pexpire', keys: [key], args: [RECORD_TTL_MS] })))
    }
  }

  async endLeftovers(agentId: string, error: string, alive: ReadonlySet<string> = new Set()): Promise<number> {
    let ended = 0
    const { keys } = this.#nodes
    for (const sets of chunks(keys.allRunning(agentId), CHUNK_IDS)) {
      const members = await this.#run(sets.map((key) => ({ name: 'smembers', keys: [key], args: [] })))
      for (const chunk of chunks((members as string[][]).flat(), CHUNK_IDS)) {
        const left = chunk.filter((id) => !alive.has(id))
        if (left.length === 0) continue
        const texts = await this.#texts(left.map(keys.record))
        const commands = left.map((id, index): RedisCommand => {
          const record = parseRecord(texts[index])
          if (record?.status !== 'running' || record.agent_id !== agentId) {
            return { name: 'srem', keys: [keys.running(agentId, id)], args: [id] }
          }
          ended++
          return endCommand(keys, { ...record, status: 'failed', error, status_at: new Date().toISOString() })
        })
        await this.#run(commands)
      }
    }
    return ended
  }

  async claimName(agentId: string, holder: string, ms: number, replaced = ''): Promise<NameHolder | undefined> {
    const [answer] = await this.#run([claimCommand(agentId, holder, ms, replaced)])
    if (!Array.isArray(answer)) return undefined
    return nameHolder(answer[0], answer[1])
  }

  async nameHolder(agentId: string): Promise<NameHolder | undefined> {
    const [value, leftMs] = await this.#run(lookCommands(agentId))
    return value === null ? undefined : nameHolder(value, leftMs)
  }

  async releaseName(agentId: string, holder: string): Promise<void> {
    await this.#run([releaseCommand(agentId, holder)])
  }

  async purgeExpired(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true
    this.#nodes.close()
  }

  #primaryOf(id: string): string | undefined {
    return this.#nodes.primaryOf(this.#nodes.keys.record(id))
  }

  /** Once what has taken over from a primary takes writes. */
  async #writeEndsAgain(): Promise<void> {
    if (this.#endsAgain) return
    this.#endsAgain = true
    while (!this.#closed) {
      const moved = this.#ends.moved((id) => this.#primaryOf(id) ?? '')
      if (moved.length === 0) break
      try {
        await writeBatch(this.#nodes, moved)
        this.#ends.drop(moved)
      } catch {
        await sleep(ENDS_AGAIN_MS, undefined, { ref: false })
      }
    }
    this.#endsAgain = false
  }

  async #beginAll(records: readonly ExecutionRecord[]): Promise<readonly boolean[]> {
    const commands = records.map((record) => beginCommand(this.#nodes.keys, record))
    return (await this.#run(commands, BEGIN_LIMIT_MS)).map((answer) => answer === BEGUN)
  }

  /** The texts under these keys. A key of another type is not ours: it counts as absent. */
  async #texts(keys: readonly string[]): Promise<(string | null)[]> {
    const replies = await this.#replies(keys.map((key) => ({ name: 'get', keys: [key], args: [] })))
    return replies.map((reply) => resultOf(reply, null))
  }

  async #read<T>(command: RedisCommand, absent: T): Promise<T> {
    const [reply] = await this.#replies([command])
    return resultOf(reply, absent)
  }

  async #eachNode(ask: (node: Sender) => Promise<unknown>): Promise<void> {
    await this.#nodes.firstContact
    for (const node of await this.#nodes.each()) await ask(node)
  }

  #run(commands: readonly RedisCommand[], limitMs = ANSWER_LIMIT_MS, to: Sender = this.#nodes): Promise<unknown[]> {
    return this.#answer(commands, limitMs, () => runPipeline(to, commands))
  }

  #replies(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    return this.#answer(commands, ANSWER_LIMIT_MS, () => this.#nodes.send(commands))
  }

  async #answer<T>(commands: readonly RedisCommand[], limitMs: number, ask: () => Promise<T>): Promise<T> {
    await this.#nodes.firstContact
    const key = commands[0]?.keys[0] ?? ''
    return withinPatience(this.#askTwice(key, ask), limitMs, () => this.#nodes.silent(key, limitMs))
  }

  /** Asks once more, on a new connection, where a replica refused: after a failover that reaches the new primary. */
  async #askTwice<T>(key: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!isReadOnly((error as StoreUnavailable).cause)) throw error
      await this.#nodes.ready(key, TAKEOVER_LIMIT_MS)
      return ask()
    }
  }
}

function resultOf<T>([error, result]: Reply = [null, undefined], absent: T): T {
  if (isWrongType(error)) return absent
  if (error) throw error
  return result as T
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

function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
