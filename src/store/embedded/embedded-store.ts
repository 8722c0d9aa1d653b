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
import type { ExecutionRecord } from '../record.js'
import { BEGIN_LIMIT_MS, idOf, type Store, StoreUnavailable, type StoreWrite } from '../store.js'
import { embeddedProblem } from './errors.js'
import { Expiries } from './expiries.js'
import { OutputChunks } from './output-chunks.js'
import { transactions } from './under-way.js'

/** Output chunks deleted in one transaction, so that a purge never blocks the thread for long. */
const PURGE_CHUNKS = 1_000
const PURGE_IDS = 200
const CLOSE_LIMIT_MS = 2_000

interface Registration {
  readonly registration: string
  readonly replaced?: string | undefined
}

/** `ended`: the record of this very execution is there already, and has ended. */
type Beginning = 'begun' | 'ended' | 'taken'

/**
 * The store in a folder of this node, in LMDB. Several threads and processes may open it at once.
 *
 * A resolved write survives any end of this process. A power cut may lose the last writes, which reach the disk right
 * after the commit, but never damages older ones.
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
  readonly #output: OutputChunks
  readonly #expiries: Expiries
  readonly #running: Database<string, [agentId: string, id: string]>
  #isClosed = false

  /**
   * Makes the folder where it is missing, for its owner alone. `now` is the clock, epoch ms. Throws StoreUnavailable.
   */
  constructor(path: string, now: () => number = Date.now) {
    this.address = path
    this.#now = now
    try {
      makeFolders(path, 0o700)
      // With eventTurnBatching a failed commit rejects a promise that nobody handles, which would end the process.
      this.#root = open({ path, noSubdir: false, compression: false, eventTurnBatching: false })
      this.#functions = this.#root.openDB({ name: 'functions', encoding: 'string' })
      this.#registrations = this.#root.openDB({ name: 'registrations', encoding: 'json' })
      this.#records = this.#root.openDB({ name: 'records', encoding: 'string' })
      this.#output = new OutputChunks(this.#root)
      this.#expiries = new Expiries(this.#root, now)
      this.#running = this.#root.openDB({ name: 'running', encoding: 'string' })
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

  async warnings(): Promise<[]> {
    return []
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

  nodeOf(): string {
    return ''
  }

  watchNodes(): void {}

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
    return this.#read(() => (this.#isAlive(id) ? this.#output.read(id, from, to) : Buffer.alloc(0)))
  }

  gaps(id: string): Promise<Gap[]> {
    return this.#read(() => (this.#isAlive(id) ? this.#output.gaps(id, this.#storedRecord(id)?.output_bytes ?? 0) : []))
  }

  outputLength(id: string): Promise<number> {
    return this.#read(() => (this.#isAlive(id) ? this.#output.length(id) : 0))
  }

  renewLeases(ids: readonly string[]): Promise<void> {
    return this.#transaction(() => {
      for (const id of ids) if (this.#isAlive(id)) this.#expiries.renew(id)
    })
  }

  endLeftovers(agentId: string, error: string, alive: ReadonlySet<string> = new Set()): Promise<number> {
    return this.#transaction(() => {
      let ended = 0
      for (const [, id] of [...this.#running.getKeys({ start: [agentId, ''], end: [agentId, '\u{10ffff}'] })]) {
        if (alive.has(id)) continue
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

  /** The state folder's lock already keeps a second agent out. */
  async claimName(): Promise<undefined> {}

  async nameHolder(): Promise<undefined> {}

  async releaseName(): Promise<void> {}

  async purgeExpired(): Promise<void> {
    while (await this.#transaction(() => this.#purgeSome()));
  }

  /** lmdb's close never resolves after a failed commit; committed writes need no closing. */
  async close(): Promise<void> {
    this.#isClosed = true
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
    this.#expiries.renew(id)
    return 'begun'
  }

  #refuse(record: ExecutionRecord): void {
    const id = record.execution_id
    if (!this.#isFree(id)) return
    this.#drop(id)
    this.#records.putSync(id, JSON.stringify(record))
    this.#expiries.renew(id)
  }

  /** Whether the id has no record, or only that of a refused execution. */
  #isFree(id: string): boolean {
    const stored = this.#isAlive(id) ? this.#storedRecord(id) : undefined
    return stored === undefined || stored.refused === true
  }

  #end(record: ExecutionRecord): void {
    const id = record.execution_id
    if (!this.#isAlive(id)) this.#drop(id)
    const length = record.output_bytes ?? 0
    this.#output.end(id, length)
    const lost = bytesOf(this.#output.gaps(id, length))
    const stored = lost > 0 ? { ...record, output_lost_bytes: lost } : record
    this.#records.putSync(id, JSON.stringify(stored))
    this.#running.removeSync([record.agent_id, id])
    this.#expiries.renew(id)
  }

  /** Bytes that are stored already are the same: only missing ranges are added. */
  #putOutput(id: string, offset: number, bytes: Buffer): void {
    if (!this.#isAlive(id)) {
      this.#drop(id)
      this.#expiries.renew(id)
    }
    this.#output.put(id, offset, bytes)
  }

  #storedRecord(id: string): ExecutionRecord | undefined {
    const json = this.#records.get(id)
    return json === undefined ? undefined : (JSON.parse(json) as ExecutionRecord)
  }

  #isAlive(id: string): boolean {
    return this.#expiries.isAlive(id)
  }

  /** Deletes everything of an id, output first; stops after `most` chunks. Answers how many chunks it deleted. */
  #drop(id: string, most = Number.POSITIVE_INFINITY): number {
    const dropped = this.#output.drop(id, most)
    if (dropped === most) return most
    const record = this.#storedRecord(id)
    if (record !== undefined) this.#running.removeSync([record.agent_id, id])
    this.#records.removeSync(id)
    this.#expiries.drop(id)
    return dropped
  }

  /** Answers whether there may be more to purge. */
  #purgeSome(): boolean {
    const expired = this.#expiries.expired(PURGE_IDS)
    let left = PURGE_CHUNKS
    for (const id of expired) {
      left -= this.#drop(id, left)
      if (left === 0) return true
    }
    return expired.length === PURGE_IDS
  }

  async #read<T>(look: () => T): Promise<T> {
    try {
      this.#refuseIfClosed()
      // Makes commits of other threads visible at once, not only in the next turn.
      this.#root.resetReadTxn()
      return look()
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  async #transaction<T>(action: () => T): Promise<T> {
    try {
      this.#refuseIfClosed()
      transactions.underWay++
      try {
        return await this.#root.transaction(action)
      } finally {
        transactions.underWay--
      }
    } catch (error) {
      throw this.#unavailable(await commitError(error))
    }
  }

  /** What is closed may be unmapped. */
  #refuseIfClosed(): void {
    if (this.#isClosed) throw new Error('it is closed')
  }

  #unavailable(error: unknown): StoreUnavailable {
    const { problem, ...advice } = embeddedProblem(error, this.address)
    return new StoreUnavailable(`embedded store in ${this.address}: ${problem}`, { ...advice, cause: error })
  }
}

/** lmdb puts the reason of a failed commit into a promise, which would be an unhandled rejection. */
function commitError(error: unknown): Promise<unknown> {
  const reason = error instanceof Error && 'commitError' in error ? Promise.resolve(error.commitError) : undefined
  return Promise.race([reason?.catch((why: unknown) => why) ?? error, sleep(1_000, error, { ref: false })])
}
