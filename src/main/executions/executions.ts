import { idNumber } from '../../ids/id-number.js'
import type { RecentIds } from '../../ids/recent-ids.js'
import { platform } from '../../os/index.js'
import { endRecord } from '../../store/queue/end-record.js'
import type { WriteQueues } from '../../store/queue/write-queues.js'
import type { ExecutionRecord } from '../../store/record.js'
import type { KeptNote } from '../../threads/kept-note.js'
import { type ExecuteTask, ID_TAKEN, type Outcome, type Refusal, type RefusalReason } from '../../threads/messages.js'
import { monotonicMs } from '../../time/monotonic.js'
import type { FunctionLease, Functions } from '../functions/functions.js'
import type { ExecutionCounts } from '../metrics/execution-counts.js'
import type { ExecutionTrace } from '../tracing/execution-trace.js'
import type { Tracing } from '../tracing/tracing.js'
import type { AdmissionControl, Slot } from './admission.js'
import { Execution, type ExecutionOwner } from './execution.js'
import type { KeptExecutions } from './kept-executions.js'
import type { LaunchSpecs } from './launch-specs.js'
import { ExecutionObserver } from './observer.js'
import { WaitGroup } from './wait-group.js'
import { ALL_DEAD, type WorkerPool } from './worker-pool.js'

export interface ExecutionRequest extends Omit<ExecuteTask, 'hold' | 'idNumber' | 'spans'> {
  /** Whether the caller chose the id, which another execution may then have. */
  readonly idGiven: boolean
  /** Undefined: nobody records its spans. */
  readonly trace: ExecutionTrace | undefined
}

export type Started = { readonly kind: 'started'; readonly execution: Execution } | Refusal

/** An execution that is not settled. */
interface Tracked {
  readonly execution: Execution
  /** The number of its id, where its caller chose that. */
  readonly number: number | undefined
  /** Gives its slot and its code back. Idempotent. */
  readonly leave: () => void
}

/**
 * The executions that are not settled: from admission until nothing is left to do, which for an async one includes
 * storing its record. Gives each slot and code version back exactly once. Main thread only.
 */
export class Executions implements ExecutionOwner {
  private readonly live = new Map<string, Tracked>()
  private readonly unsettled = new WaitGroup()
  private refusesNew = false
  private leavesRunning = false
  /** Executions whose worker has died, with what it died of: they wait for another to take them over. */
  private readonly orphaned = new Map<string, Error>()

  constructor(
    private readonly agentId: string,
    private readonly functions: Functions,
    private readonly admission: AdmissionControl,
    private readonly pool: WorkerPool,
    /** For the records of executions whose worker has died. */
    private readonly writes: WriteQueues,
    private readonly specs: LaunchSpecs,
    /** The ids of executions that have ended. */
    private readonly recent: RecentIds,
    /** Whether async executions outlive their worker. */
    private readonly survive: boolean,
    /** Absent: nothing is counted. */
    private readonly counts?: ExecutionCounts,
    /** Absent: nobody records spans. */
    private readonly tracing?: Tracing,
  ) {}

  start({ id, idGiven, functionName, async, args, variables, trace }: ExecutionRequest): Started {
    const number = idGiven ? idNumber(id) : undefined
    if (this.isTaken(id, number)) return ID_TAKEN
    const lease = this.functions.lease(functionName)
    if (!lease) {
      const known = this.functions.settings(functionName) !== undefined
      return known
        ? refused('not_deployed', `function ${functionName} is not deployed on this agent`)
        : refused('function_unknown', 'function not found')
    }
    const execution = new Execution(id, functionName, async, this, this.observer(functionName, trace))
    const leave = this.admit(execution, lease)
    if (typeof leave !== 'function') return leave
    const task = { id, idNumber: number, async, functionName, args, variables, hold: execution.isQueued }
    const traced = async && trace ? { ...task, spans: trace.ids } : task
    const supervised = this.pool.execute(this.specs.of(lease), traced, execution)
    if (!supervised) {
      leave()
      return refused('no_worker', ALL_DEAD)
    }
    execution.supervisedBy(supervised)
    this.track(execution, number, leave)
    return { kind: 'started', execution }
  }

  /** Whether an execution has this id, or had it within the last hour. */
  isTaken(id: string, number: number | undefined = idNumber(id)): boolean {
    return this.live.has(id) || (number !== undefined && this.recent.has(number))
  }

  find(id: string): Execution | undefined {
    return this.live.get(id)?.execution
  }

  /** Executions that have not ended, oldest first. */
  list(): Execution[] {
    return [...this.live.values()].flatMap(({ execution }) => (execution.hasEnded ? [] : execution))
  }

  /** Whether the agent is stopping and starts no new execution. */
  get stopping(): boolean {
    return this.refusesNew
  }

  /** Refuses new executions from now on. */
  refuseNew(): void {
    this.refusesNew = true
  }

  /** Whether those that run are left to launchers, for the next agent. */
  get handedOver(): boolean {
    return this.leavesRunning
  }

  /** Leaves those that run to the launchers from now on. */
  handOver(): void {
    this.leavesRunning = true
  }

  /** Has workers supervise executions that launchers keep: an earlier agent's, or those of a worker that has died. */
  async takeOver(kept: readonly KeptExecutions[]): Promise<void> {
    const done = kept.map(({ launcher, executions }) => (executions.length > 0 ? launcher.leave() : launcher.end()))
    await Promise.all(done)
    for (const { launcher, executions } of kept) {
      if (executions.length === 0) continue
      const adoptions = executions.map(({ process, note }) => {
        const task = { process: process.number, keptFrom: process.keptFrom, note }
        return { task, listener: this.find(note.record.execution_id) ?? this.resume(note, process.pid) }
      })
      const tasks = this.pool.adopt(launcher.name, adoptions) ?? []
      for (const [index, task] of tasks.entries()) {
        const {
          listener: execution,
          task: { note },
        } = adoptions[index] as (typeof adoptions)[number]
        execution.supervisedBy(task)
        if (!this.orphaned.delete(execution.id)) this.track(execution, note.idNumber, this.occupy(note))
      }
    }
  }

  /** Whether a worker has it that lives, as far as known. */
  isSupervised(id: string): boolean {
    return this.live.has(id) && !this.orphaned.has(id)
  }

  /** How many executions have a worker that has died. */
  get orphans(): number {
    return this.orphaned.size
  }

  /** Ends those of them that nobody could take over. */
  giveUpOrphans(): void {
    for (const [id, error] of this.orphaned) {
      const execution = this.find(id)
      if (execution) void this.lost(execution, error)
    }
    this.orphaned.clear()
  }

  /** Resolves when all executions are settled. */
  settledAll(): Promise<void> {
    return this.unsettled.wait()
  }

  /** See ExecutionOwner: gives the slot back. */
  ended(execution: Execution): void {
    const tracked = this.live.get(execution.id)
    if (!tracked) return
    tracked.leave()
    if (tracked.number !== undefined && execution.outcome) this.recent.add(tracked.number)
    // A sync execution leaves no record.
    if (!execution.async) this.live.delete(execution.id)
  }

  /** See ExecutionOwner: forgets it. */
  settled(execution: Execution): void {
    if (this.find(execution.id) === execution) this.live.delete(execution.id)
    execution.forgotten()
    this.unsettled.done()
  }

  /** See ExecutionOwner: what can be taken over waits for that. */
  failed(execution: Execution, error: Error): void {
    if (execution.async && this.survive && !this.refusesNew) this.orphaned.set(execution.id, error)
    else void this.lost(execution, error)
  }

  /**
   * Takes a slot, or a place in the queue. Answers a function that gives it and the lease back, or why there is none.
   */
  private admit(execution: Execution, lease: FunctionLease): (() => void) | Refusal {
    let slot: Slot | undefined
    const { name, maxConcurrencyBehavior } = lease.settings
    const admission = this.admission.request(name, maxConcurrencyBehavior, (granted) => {
      slot = granted
      execution.go()
    })
    if (admission.kind === 'full' || admission.kind === 'closed') {
      lease.release()
      // The control plane looks for the words `at capacity`, and tries elsewhere or again.
      return admission.kind === 'full'
        ? refused('at_capacity', `function ${name} at capacity`)
        : refused('draining', `function ${name} at capacity: its agent is draining`)
    }
    if (admission.kind === 'admitted') {
      slot = admission.slot
      execution.go()
    }
    return () => {
      if (admission.kind === 'queued') admission.ticket.leave()
      slot?.release()
      lease.release()
    }
  }

  private track(execution: Execution, number: number | undefined, leave: () => void): void {
    this.live.set(execution.id, { execution, number, leave })
    this.unsettled.add()
  }

  /** Its worker has died, and none goes on with it. */
  private async lost(execution: Execution, error: Error): Promise<void> {
    // A worker that was closed has put its unstored writes on disk.
    if (!this.leavesRunning && !(this.refusesNew && execution.hasEnded)) {
      if (execution.pid !== undefined) platform.killGroup(execution.pid)
      execution.abandon(() => this.outcomeOfLost(execution, `worker thread failed: ${error.message}`))
      // The end of the record may have been lost with the worker.
      const record = execution.outcome?.record
      if (execution.async && record) await endRecord(this.writes.for(record.execution_id), record).stored
    }
    this.settled(execution)
  }

  private resume({ record, spans }: KeptNote, pid: number | undefined): Execution {
    const { execution_id: id, function_name: name, started_at } = record
    const startedAt = new Date(started_at)
    const begun = monotonicMs() - (Date.now() - startedAt.getTime())
    const observer = this.observer(name, spans && this.tracing?.resume(spans), begun)
    const execution = new Execution(id, name, true, this, observer, startedAt)
    execution.takenOver(pid)
    return execution
  }

  /** Takes a slot and the code of an execution that runs already; answers a function that gives them back. */
  private occupy({ record: { function_name: name }, versionDir }: KeptNote): () => void {
    const slot = this.admission.occupy(name)
    const release = this.functions.holdOf(name, versionDir)
    return () => {
      slot.release()
      release()
    }
  }

  private observer(
    functionName: string,
    trace: ExecutionTrace | undefined,
    begun = monotonicMs(),
  ): ExecutionObserver | undefined {
    return this.counts || trace ? new ExecutionObserver(functionName, this.counts, trace, begun) : undefined
  }

  private outcomeOfLost(execution: Execution, error: string): Outcome {
    const record: ExecutionRecord = {
      execution_id: execution.id,
      agent_id: this.agentId,
      function_name: execution.functionName,
      status: 'failed',
      error,
      started_at: execution.startedAt.toISOString(),
      status_at: new Date().toISOString(),
    }
    return { kind: 'lost', record, output: new Uint8Array() }
  }
}

function refused(reason: RefusalReason, error: string): Refusal {
  return { kind: 'refused', reason, error, idTaken: false }
}
