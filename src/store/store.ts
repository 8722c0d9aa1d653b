import type { FunctionSettings } from './function.js'
import type { Gap } from './gaps.js'
import type { ExecutionRecord } from './record.js'

/**
 * One change to the store. Each can be repeated without harm and lands in the order given, so whoever writes may send
 * a batch again when it does not know whether the first time arrived.
 */
export type StoreWrite =
  /** The execution has begun. Written only where no record of that id is, but of a refusal; a later `end` is never undone by it. */
  | { readonly kind: 'begin'; readonly record: ExecutionRecord }
  /** Bytes of its output, at their offset. Where bytes before them are missing, the store keeps that as a gap. */
  | { readonly kind: 'output'; readonly id: string; readonly offset: number; readonly bytes: Buffer }
  /**
   * The execution has ended: its record and output expire RECORD_TTL_MS from now. The record says how much of the
   * `output_bytes` that it names is missing.
   */
  | { readonly kind: 'end'; readonly record: ExecutionRecord }

/** Of the execution that a write is about. */
/** How long a new execution waits for the store before it takes it for away. */
export const BEGIN_LIMIT_MS = 500

export const idOf = (write: StoreWrite) => (write.kind === 'output' ? write.id : write.record.execution_id)

/** Who has the name of an agent. */
export interface NameHolder {
  readonly value: string
  /** Unless it is renewed; undefined: for ever. */
  readonly leftMs: number | undefined
}

/**
 * Where functions, execution records and output are kept. Every method rejects with StoreUnavailable when the store
 * does not take or give now (away, full, read-only, loading); none waits longer than its connection's time limit.
 * May be opened by several threads and processes at once.
 */
export interface Store {
  /** Where it is, for people: an address without its password, or a folder. */
  readonly address: string

  /**
   * Writes, reads and deletes a probe, once by each kind of command that an agent needs; rejects with the first refusal.
   * Others see nothing of it.
   */
  probe(): Promise<void>

  /** Every function readable under the contract's keys; the ones that are not are reported through `unreadable`. */
  functions(unreadable: (name: string, why: string) => void): Promise<FunctionSettings[]>
  /**
   * Stored when it resolves. Rejects with OutcomeUnknown where it may be stored, or may be yet, at any time: until
   * `withdrawFunction` has resolved for this `registration`, which is a name for it that no other has.
   */
  putFunction(settings: FunctionSettings, registration?: string): Promise<void>
  /**
   * Takes a registration back, whatever has become of it: where these settings are stored by it, what they have replaced
   * is stored again, and should they still be on their way, they are not stored any more. Can be repeated.
   */
  withdrawFunction(settings: FunctionSettings, registration: string): Promise<void>

  /**
   * Records an execution as begun, unless a record of its id exists that is not of a refusal: then false, and nothing is
   * changed. Repeating it with the same record answers true again. Rejects where that takes longer than BEGIN_LIMIT_MS;
   * it may have been recorded all the same.
   */
  begin(record: ExecutionRecord): Promise<boolean>
  /**
   * Records why executions did not begin: each record has `refused`. Nothing is changed for an id that has a record of
   * another kind.
   */
  refuse(records: readonly ExecutionRecord[]): Promise<void>
  /**
   * All of the batch, in order. On rejection any part of it may have landed; write it again. Answers the ids whose
   * `begin` came too late: another execution has them, so nothing of the batch that follows for them was written, and
   * nothing more may be.
   */
  write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>>
  record(id: string): Promise<ExecutionRecord | undefined>
  /** Bytes [from, to) of the output; fewer where it ends or a gap begins before `to`, none where there are none. */
  output(id: string, from: number, to: number): Promise<Buffer>
  /** What is missing of the output, in order; of one that is complete nothing. */
  gaps(id: string): Promise<Gap[]>
  outputLength(id: string): Promise<number>

  /** Puts off the expiry of records of running executions and of their output to RECORD_TTL_MS from now. */
  renewLeases(ids: readonly string[]): Promise<void>
  /**
   * Ends every record this agent left `running`, as failed with `error`; answers how many. Before it begins any: it
   * cannot tell the executions of this run from those of an earlier one.
   */
  endLeftovers(agentId: string, error: string): Promise<number>
  /**
   * Has `holder` hold the name of an agent for so long from now on, unless another holds it than `holder` itself or
   * `replaced`: then answers who. Where only one process can open the store for an agent, nobody else ever does.
   */
  claimName(agentId: string, holder: string, ms: number, replaced?: string): Promise<NameHolder | undefined>
  /** Who has the name of an agent, without taking it. */
  nameHolder(agentId: string): Promise<NameHolder | undefined>
  /** Frees the name where `holder` has it. */
  releaseName(agentId: string, holder: string): Promise<void>
  /** Deletes what has expired, where the store does not do that itself. */
  purgeExpired(): Promise<void>

  close(): Promise<void>
}

/** Why the store does not take or give. */
export interface StoreProblem {
  /** What is wrong, for people. */
  readonly problem: string
  /** What to do about it, where that is known. */
  readonly fix?: string | undefined
  /** No later try does better before somebody has changed something; otherwise trying again is right. */
  readonly permanent?: boolean
}

/** The store does not take or give now. What waits for it waits on, however long that is. */
export class StoreUnavailable extends Error {
  readonly code = 'STORE_UNAVAILABLE'
  override readonly name = 'StoreUnavailable'
  readonly problem: string
  readonly fix: string | undefined
  readonly permanent: boolean

  /** The message is the problem, and after a semicolon the fix. */
  constructor(problem: string, { fix, permanent = false, cause }: Omit<StoreProblem, 'problem'> & ErrorOptions = {}) {
    super(fix === undefined ? problem : `${problem}; ${fix}`, { cause })
    this.problem = problem
    this.fix = fix
    this.permanent = permanent
  }
}

/** The same, and nobody knows whether what was to be stored is. */
export class OutcomeUnknown extends StoreUnavailable {}
