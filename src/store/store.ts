import type { FunctionSettings } from './function.js'
import type { Gap } from './gaps.js'
import type { ExecutionRecord } from './record.js'

/**
 * One change to the store. Each may be repeated without harm, and they take effect in order: a batch whose fate is
 * unknown can be sent again.
 */
export type StoreWrite =
  /** The execution has begun. Has no effect where the id has a record already, unless that is a refusal's. */
  | { readonly kind: 'begin'; readonly record: ExecutionRecord }
  /** Bytes of its output, at their offset. Where bytes before them are missing, the store notes a gap. */
  | { readonly kind: 'output'; readonly id: string; readonly offset: number; readonly bytes: Buffer }
  /**
   * The execution has ended: its record and output expire RECORD_TTL_MS from now. The store adds to the record how much
   * of its `output_bytes` is missing.
   */
  | { readonly kind: 'end'; readonly record: ExecutionRecord }

/** First and last slot of a cluster, and the node that has them. */
export type SlotRange = readonly [from: number, to: number, node: string]

/** Is told where the slots are: all of them, when that is known and whenever it changes. */
export type NodesListener = (nodes: readonly SlotRange[]) => void

/** How long a new execution waits for the store before it treats it as unavailable. */
export const BEGIN_LIMIT_MS = 500

/** The id of the execution that a write belongs to. */
export const idOf = (write: StoreWrite) => (write.kind === 'output' ? write.id : write.record.execution_id)

/** Who holds an agent's name. */
export interface NameHolder {
  readonly value: string
  /** Until the lease ends, unless it is renewed; undefined: it never ends. */
  readonly leftMs: number | undefined
}

/**
 * Stores functions, execution records and output. Every method rejects with StoreUnavailable while the store does not
 * read or write (unreachable, full, read-only, loading), within its connection's time limit. Several threads and
 * processes may open the same store.
 */
export interface Store {
  /** For messages: an address without its password, or a folder. */
  readonly address: string

  /**
   * Writes, reads and deletes a probe with every kind of command that an agent needs. Rejects with the first refusal.
   * Invisible to other agents.
   */
  probe(): Promise<void>

  /**
   * What works, but not as it should; for an operator. Asks what a proxy may answer by hanging up, so not for a store that
   * is in use.
   */
  warnings(): Promise<StoreProblem[]>

  /**
   * Every stored function. Those that cannot be read are passed to `unreadable`. Where the store does not list them,
   * `unlisted` is called with the reason, and answers which names to look for.
   */
  functions(
    unreadable: (name: string, why: string) => void,
    unlisted?: (why: string) => Promise<readonly string[]>,
  ): Promise<FunctionSettings[]>
  /**
   * Resolves once stored. Rejects with OutcomeUnknown where the function may be stored, now or later, until
   * `withdrawFunction` has resolved for this `registration` (a unique name).
   */
  putFunction(settings: FunctionSettings, registration?: string): Promise<void>
  /**
   * Undoes a registration, whether it arrived or not: restores what it replaced, and keeps it from being stored should
   * it still arrive. May be repeated.
   */
  withdrawFunction(settings: FunctionSettings, registration: string): Promise<void>

  /**
   * The node of the store that an execution's record and output are on, as far as that is known now; '' where there is
   * only one. Writes of different nodes need not wait for each other.
   */
  nodeOf(id: string): string
  /** Tells of what `nodeOf` is found by; never where there is only one node. */
  watchNodes(listener: NodesListener): void
  /**
   * Records an execution as begun. Answers false, and changes nothing, where the id has a record other than a
   * refusal's. Answers true again for the same record.
   */
  begin(record: ExecutionRecord): Promise<boolean>
  /**
   * Records refused executions: each record has `refused`. Changes nothing for an id that has another kind of record.
   */
  refuse(records: readonly ExecutionRecord[]): Promise<void>
  /**
   * Makes all writes of the batch, in order. On rejection any part may have taken effect: send it again. Answers the
   * ids whose `begin` came too late, as another execution has them; nothing else was written for these, and nothing
   * more may be.
   */
  write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>>
  record(id: string): Promise<ExecutionRecord | undefined>
  /** Bytes [from, to) of the output; fewer where it ends or a gap begins before `to`, possibly none. */
  output(id: string, from: number, to: number): Promise<Buffer>
  /** The missing ranges of the output, in order. */
  gaps(id: string): Promise<Gap[]>
  outputLength(id: string): Promise<number>

  /** Extends the life of running executions' records and output to RECORD_TTL_MS from now. */
  renewLeases(ids: readonly string[]): Promise<void>
  /**
   * Ends every record that this agent left `running`, as failed with `error`, but for these `alive` ones; answers how
   * many. Call before the first `begin`: it cannot tell this run's executions from an earlier run's.
   */
  endLeftovers(agentId: string, error: string, alive?: ReadonlySet<string>): Promise<number>
  /**
   * Gives `holder` the name of an agent for `ms`, unless it is held by somebody other than `holder` or `replaced`; then
   * answers who. A store that only one process can open for an agent always grants it.
   */
  claimName(agentId: string, holder: string, ms: number, replaced?: string): Promise<NameHolder | undefined>
  /** Who holds the name, without taking it. */
  nameHolder(agentId: string): Promise<NameHolder | undefined>
  /** Frees the name if `holder` has it. */
  releaseName(agentId: string, holder: string): Promise<void>
  /** Deletes expired records, where the store does not do so itself. */
  purgeExpired(): Promise<void>

  close(): Promise<void>
}

/** Why the store is unavailable. */
export interface StoreProblem {
  /** What is wrong. */
  readonly problem: string
  /** What to do about it, if known. */
  readonly fix?: string | undefined
  /** Whether retrying is useless until somebody changes something. */
  readonly permanent?: boolean
}

/** The store does not read or write now. Callers that must have its answer retry. */
export class StoreUnavailable extends Error {
  readonly code = 'STORE_UNAVAILABLE'
  override readonly name = 'StoreUnavailable'
  readonly problem: string
  readonly fix: string | undefined
  readonly permanent: boolean

  /** The message is the problem, then after a semicolon the fix. */
  constructor(problem: string, { fix, permanent = false, cause }: Omit<StoreProblem, 'problem'> & ErrorOptions = {}) {
    super(fix === undefined ? problem : `${problem}; ${fix}`, { cause })
    this.problem = problem
    this.fix = fix
    this.permanent = permanent
  }
}

/** As StoreUnavailable; the write may have taken effect or still do so. */
export class OutcomeUnknown extends StoreUnavailable {}
