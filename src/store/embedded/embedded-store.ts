import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, open, type RootDatabase } from 'lmdb'
import { makeFolders } from '../../os/make-folders.js'
import { withinPatience } from '../../time/patience.js'
import type { FunctionSettings } from '../function.js'
import { bytesOf, type Gap } from '../gaps.js'
import { functionJson } from '../load-function-json.js'
import { mergeOutputs } from '../merge-outputs.js'
import { exercise, newProbe } from '../probe.js'
import { type ExecutionRecord, RECORD_TTL_MS } from '../record.js'
import { BEGIN_LIMIT_MS, idOf, type Store, StoreUnavailable, type StoreWrite } from '../store.js'
import { embeddedProblem } from './errors.js'

/** Output chunks deleted in one transaction, so that a purge never holds the thread for long. */
const PURGE_CHUNKS = 1_000
const PURGE_IDS = 200
const CLOSE_LIMIT_MS = 2_000

interface Registration {
  readonly registration: string
  readonly replaced?: string | undefined
}

type ChunkKey = [id: string, from: number, to: number]

/** What became of an id that was to begin: `ended`: this very run of it is recorded, and is over. */
type Beginning = 'begun' | 'ended' | 'taken'

/**
 * The store in a folder of this node, kept by LMDB. Any number of threads and processes may open it at once.
 *
 * A write that has resolved survives the end of the process, however it ends. A power cut may lose the last writes
 * before it (they reach the disk right after the commit, not before) and never damages older ones.
 */
export class EmbeddedStore implements Store {
  readonly address: string
  readonly #now: () => number
  readonly #root: RootDatabase
  /** By name. */
  readonly #functions: Database<string, string>
  /** By name: the last registration, and the function it has replaced. */
  readonly #registrations: Database<Registration, string>
  /** By id, as JSON. */
  readonly #records: Database<string, string>
  /** Output, in chunks that never overlap. */
  readonly #chunks: Database<Buffer, ChunkKey>
  /** By id, when record and output expire (epoch ms); what has expired is not there any more, purged or not. */
  readonly #expiries: Database<number, string>
  /** The same by time, so that a purge looks only at what has expired. */
  readonly #byExpiry: Database<string, [at: number, id: string]>
  readonly #running: Database<string, [agentId: string, id: string]>
  /** Ids in whose output a gap was seen, so that all others need no search for one. */
  readonly #incomplete: Database<string, string>

  /** Makes the folder, only for its owner, where there is none. `now` is the clock, epoch ms. */
  constructor(path: string, now: () => number = Date.now) {
    this.address = path
    this.#now = now
    try {
      makeFolders(path, 0o700)
      // Without eventTurnBatching: its own promise of a commit that fails is nobody's to handle, which ends the process.
      this.#root = open({ path, noSubdir: false, compression: false, eventTurnBatching: false })
      this.#functions = this.#root.openDB({ name: 'functions', encoding: 'string' })
      this.#registrations = this.#root.openDB({ name: 'registrations', encoding: 'json' })
      this.#records = this.#root.openDB({ name: 'records', encoding: 'string' })
      this.#chunks = this.#root.openDB({ name: 'chunks', encoding: 'binary' })
      this.#expiries = this.#root.openDB({ name: 'expiries', encoding: 'json' })
      this.#byExpiry = this.#root.openDB({ name: 'by-expiry', encoding: 'string' })
      this.#running = this.#root.openDB({ name: 'running', encoding: 'string' })
      this.#incomplete = this.#root.openDB({ name: 'incomplete', encoding: 'string' })
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  async probe(): Promise<void> {
    const probe = newProbe()
    try {
      await this.putFunction(probe.settings, probe.id)
      await this.withdrawFunction(probe.settings, probe.id)
      await exercise(this, probe)
    } finally {
      await this.#transaction(() => this.#drop(probe.id)).catch(() => undefined)
    }
  }

  async functions(unreadable: (name: string, why: string) => void): Promise<FunctionSettings[]> {
    const { functionFromJson } = await functionJson()
    return this.#read(() => {
      const functions: FunctionSettings[] = []
      for (const { key, value } of this.#functions.getRange()) {
        try {
          functions.push(functionFromJson(key, value))
        } catch (error) {
          unreadable(key, error instanceof Error ? error.message : String(error))
        }
      }
      return functions
    })
  }

  async putFunction(settings: FunctionSettings, registration: string = randomUUID()): Promise<void> {
    const { functionToJson } = await functionJson()
    const { name } = settings
    return this.#transaction(() => {
      this.#registrations.putSync(name, { registration, replaced: this.#functions.get(name) })
      this.#functions.putSync(name, functionToJson(settings))
    })
  }

  withdrawFunction({ name }: FunctionSettings, registration: string): Promise<void> {
    return this.#transaction(() => {
      const last = this.#registrations.get(name)
      if (last?.registration !== registration) return
      if (last.replaced === undefined) this.#functions.removeSync(name)
      else this.#functions.putSync(name, last.replaced)
      this.#registrations.removeSync(name)
    })
  }

  begin(record: ExecutionRecord): Promise<boolean> {
    const begun = this.#transaction(() => this.#begin(record) === 'begun')
    return withinPatience(begun, BEGIN_LIMIT_MS, () => new StoreUnavailable('the disk of the embedded store is slow'))
  }

  refuse(records: readonly ExecutionRecord[]): Promise<void> {
    return this.#transaction(() => {
      for (const record of records) this.#refuse(record)
    })
  }

  write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    return this.#transaction(() => {
      const taken = new Set<string>()
      for (const write of mergeOutputs(batch)) {
        const id = idOf(write)
        if (write.kind === 'begin') {
          if (this.#begin(write.record) === 'taken') taken.add(id)
          else taken.delete(id)
        } else if (!taken.has(id)) {
          if (write.kind === 'output') this.#putOutput(id, write.offset, write.bytes)
          else this.#end(write.record)
        }
      }
      return taken
    })
  }

  record(id: string): Promise<ExecutionRecord | undefined> {
    return this.#read(() => (this.#isAlive(id) ? this.#storedRecord(id) : undefined))
  }

  output(id: string, from: number, to: number): Promise<Buffer> {
    return this.#read(() => {
      const end = Math.min(to, this.#length(id))
      if (end <= from) return Buffer.alloc(0)
      const output = Buffer.allocUnsafe(end - from)
      const first = this.#chunkBefore(id, from)?.[1] ?? from
      let at = from
      for (const { key, value } of this.#chunks.getRange({ start: [id, first], end: [id, end] })) {
        const skipped = at - key[1]
        if (skipped < 0) break
        if (skipped < value.length) at += value.copy(output, at - from, skipped)
      }
      return output.subarray(0, at - from)
    })
  }

  gaps(id: string): Promise<Gap[]> {
    return this.#read(() => (this.#isAlive(id) ? this.#gapsIn(id) : []))
  }

  outputLength(id: string): Promise<number> {
    return this.#read(() => this.#length(id))
  }

  renewLeases(ids: readonly string[]): Promise<void> {
    return this.#transaction(() => {
      for (const id of ids) if (this.#isAlive(id)) this.#renew(id)
    })
  }

  endLeftovers(agentId: string, error: string): Promise<number> {
    return this.#transaction(() => {
      let ended = 0
      for (const [, id] of [...this.#running.getKeys({ start: [agentId, ''], end: [agentId, '\u{10ffff}'] })]) {
        const record = this.#isAlive(id) ? this.#storedRecord(id) : undefined
        if (record?.status !== 'running' || record.agent_id !== agentId) {
          this.#running.removeSync([agentId, id])
        } else {
          ended++
          this.#end({ ...record, status: 'failed', error, status_at: new Date(this.#now()).toISOString() })
        }
      }
      return ended
    })
  }

  /** The lock of the state folder says who the agent is. */
  async claimName(): Promise<undefined> {}

  async nameHolder(): Promise<undefined> {}

  async releaseName(): Promise<void> {}

  async purgeExpired(): Promise<void> {
    while (await this.#transaction(() => this.#purgeSome()));
  }

  /** After a commit that failed, lmdb waits for ever: what is committed needs no closing. */
  async close(): Promise<void> {
    await Promise.race([this.#root.close(), sleep(CLOSE_LIMIT_MS)])
  }

  #begin(record: ExecutionRecord): Beginning {
    const id = record.execution_id
    const json = JSON.stringify(record)
    const stored = this.#isFree(id) ? undefined : this.#records.get(id)
    if (stored !== undefined) {
      if (stored === json) return 'begun'
      const { agent_id, started_at } = JSON.parse(stored) as ExecutionRecord
      return agent_id === record.agent_id && started_at === record.started_at ? 'ended' : 'taken'
    }
    this.#drop(id)
    this.#records.putSync(id, json)
    this.#running.putSync([record.agent_id, id], '')
    this.#renew(id)
    return 'begun'
  }

  #refuse(record: ExecutionRecord): void {
    const id = record.execution_id
    if (!this.#isFree(id)) return
    this.#drop(id)
    this.#records.putSync(id, JSON.stringify(record))
    this.#renew(id)
  }

  /** Whether no record has that id, but of an execution that never began. */
  #isFree(id: string): boolean {
    const stored = this.#isAlive(id) ? this.#storedRecord(id) : undefined
    return stored === undefined || stored.refused === true
  }

  #end(record: ExecutionRecord): void {
    const id = record.execution_id
    if (!this.#isAlive(id)) this.#drop(id)
    if (this.#length(id) < (record.output_bytes ?? 0)) this.#incomplete.putSync(id, '')
    const lost = bytesOf(this.#gapsIn(id, record.output_bytes))
    const stored = lost > 0 ? { ...record, output_lost_bytes: lost } : record
    this.#records.putSync(id, JSON.stringify(stored))
    this.#running.removeSync([record.agent_id, id])
    this.#renew(id)
  }

  /** Bytes that are there already are the same ones: only what is missing between them is added. */
  #putOutput(id: string, offset: number, bytes: Buffer): void {
    if (!this.#isAlive(id)) {
      this.#drop(id)
      this.#renew(id)
    }
    const end = offset + bytes.length
    const before = this.#chunkBefore(id, offset)?.[2] ?? 0
    if (before < offset) this.#incomplete.putSync(id, '')
    let at = Math.max(offset, before)
    const put = (to: number) => {
      if (at < to) this.#chunks.putSync([id, at, to], bytes.subarray(at - offset, to - offset))
    }
    for (const [, from, to] of [...this.#chunks.getKeys({ start: [id, at], end: [id, end] })]) {
      put(from)
      at = to
    }
    put(end)
  }

  /** The last chunk that begins at `offset` or before. */
  #chunkBefore(id: string, offset: number): ChunkKey | undefined {
    const start: ChunkKey = [id, offset, Number.MAX_SAFE_INTEGER]
    const [key] = this.#chunks.getKeys({ start, end: [id], reverse: true, limit: 1 })
    return key
  }

  #length(id: string): number {
    return this.#isAlive(id) ? (this.#chunkBefore(id, Number.MAX_SAFE_INTEGER)?.[2] ?? 0) : 0
  }

  /** What is missing of it up to its last byte, or to `length` where it should be longer. */
  #gapsIn(id: string, length = this.#storedRecord(id)?.output_bytes ?? 0): Gap[] {
    if (!this.#incomplete.doesExist(id)) return []
    const gaps: Gap[] = []
    let reached = 0
    for (const [, from, to] of this.#chunks.getKeys({ start: [id], end: [id, Number.MAX_SAFE_INTEGER] })) {
      if (reached < from) gaps.push({ from: reached, to: from })
      reached = to
    }
    if (reached < length) gaps.push({ from: reached, to: length })
    return gaps
  }

  #storedRecord(id: string): ExecutionRecord | undefined {
    const json = this.#records.get(id)
    return json === undefined ? undefined : (JSON.parse(json) as ExecutionRecord)
  }

  #isAlive(id: string): boolean {
    return (this.#expiries.get(id) ?? 0) > this.#now()
  }

  #renew(id: string): void {
    const before = this.#expiries.get(id)
    if (before !== undefined) this.#byExpiry.removeSync([before, id])
    const at = this.#now() + RECORD_TTL_MS
    this.#expiries.putSync(id, at)
    this.#byExpiry.putSync([at, id], '')
  }

  /** Deletes all there is of an id, output first, unless that has more than `most` chunks. Answers how many it deleted. */
  #drop(id: string, most = Number.POSITIVE_INFINITY): number {
    const range = { start: [id], end: [id, Number.MAX_SAFE_INTEGER] }
    const keys = [...this.#chunks.getKeys(Number.isFinite(most) ? { ...range, limit: most } : range)]
    for (const key of keys) this.#chunks.removeSync(key)
    if (keys.length === most) return most
    const record = this.#storedRecord(id)
    if (record !== undefined) this.#running.removeSync([record.agent_id, id])
    this.#records.removeSync(id)
    this.#incomplete.removeSync(id)
    const at = this.#expiries.get(id)
    if (at !== undefined) this.#byExpiry.removeSync([at, id])
    this.#expiries.removeSync(id)
    return keys.length
  }

  /** Answers whether there may be more to purge. */
  #purgeSome(): boolean {
    const expired = [...this.#byExpiry.getKeys({ end: [this.#now() + 1], limit: PURGE_IDS })]
    let left = PURGE_CHUNKS
    for (const [, id] of expired) {
      left -= this.#drop(id, left)
      if (left === 0) return true
    }
    return expired.length === PURGE_IDS
  }

  async #read<T>(look: () => T): Promise<T> {
    try {
      // What another thread has committed is seen at once, not from the next turn of the event loop on.
      this.#root.resetReadTxn()
      return look()
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  async #transaction<T>(action: () => T): Promise<T> {
    try {
      return await this.#root.transaction(action)
    } catch (error) {
      throw this.#unavailable(await commitError(error))
    }
  }

  #unavailable(error: unknown): StoreUnavailable {
    const { problem, ...advice } = embeddedProblem(error, this.address)
    return new StoreUnavailable(`embedded store in ${this.address}: ${problem}`, { ...advice, cause: error })
  }
}

/** Of a commit that fails, lmdb gives the reason in a promise that rejects, unhandled unless somebody listens. */
function commitError(error: unknown): Promise<unknown> {
  const reason = error instanceof Error && 'commitError' in error ? Promise.resolve(error.commitError) : undefined
  return Promise.race([reason?.catch((why: unknown) => why) ?? error, sleep(1_000, error, { ref: false })])
}
