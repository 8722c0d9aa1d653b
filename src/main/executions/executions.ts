import { enforcedLimits } from '../../host/limits.js'
import type { NodeAddresses } from '../../host/node-addresses.js'
import { idNumber } from '../../ids/id-number.js'
import type { RecentIds } from '../../ids/recent-ids.js'
import { platform } from '../../os/index.js'
import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { ExecutionRecord } from '../../store/record.js'
import { type ExecuteTask, ID_TAKEN, type Outcome, type Program, type Refusal } from '../../threads/messages.js'
import type { FunctionLease, Functions } from '../functions/functions.js'
import type { AdmissionControl, Slot } from './admission.js'
import { Execution } from './execution.js'
import type { SupervisedTask } from './worker.js'
import type { SupervisorPool } from './worker-pool.js'

export interface ExecutionRequest extends Omit<ExecuteTask, 'hold' | 'idNumber'> {
  /** Whether the caller chose the id, so that another execution may have it. */
  readonly idGiven: boolean
}

export type Started = { readonly kind: 'started'; readonly execution: Execution } | Refusal

/** A program, and what it was made of. */
interface MadeProgram extends Pick<FunctionLease, 'settings' | 'version' | 'warnings'> {
  readonly variables: NodeAddresses['variables']
  readonly program: Program
}

/**
 * The executions that are alive: from admission until nothing of them is left to do, which for an async one includes
 * that its record is stored. Gives each one's slot and version back once, whatever happens. Main thread only.
 */
export class Executions {
  private readonly live = new Map<string, Execution>()
  private readonly supervised = new Set<Promise<void>>()
  private readonly programs = new Map<string, MadeProgram>()
  private stopping = false

  constructor(
    private readonly agentId: string,
    private readonly functions: Functions,
    private readonly admission: AdmissionControl,
    private readonly pool: SupervisorPool,
    /** For the records of executions whose thread has died. */
    private readonly writes: WriteQueue,
    private readonly node: Pick<NodeAddresses, 'variables'>,
    /** Those of executions that are over. */
    private readonly recent: RecentIds,
  ) {}

  start({ idGiven, ...request }: ExecutionRequest): Started {
    const { id, functionName: name } = request
    const number = idGiven ? idNumber(id) : undefined
    if (this.isTaken(id, number)) return ID_TAKEN
    const lease = this.functions.lease(name)
    if (!lease)
      return refused(
        this.functions.settings(name) ? `function ${name} is not deployed on this agent` : 'function not found',
      )
    let slot: Slot | undefined
    const admission = this.admission.request(name, lease.settings.maxConcurrencyBehavior, (granted) => {
      slot = granted
      execution.go()
    })
    if (admission.kind === 'full') {
      lease.release()
      return refused(`function ${name} at capacity`)
    }
    if (admission.kind === 'admitted') slot = admission.slot
    const hold = admission.kind === 'queued'
    const execution = new Execution(id, name, request.async, hold)
    const giveBack = () => {
      if (admission.kind === 'queued') admission.ticket.leave()
      slot?.release()
      lease.release()
    }
    const given = number === undefined ? {} : { idNumber: number }
    const task = this.pool.execute(this.program(lease), { ...request, ...given, hold }, execution)
    if (!task) {
      giveBack()
      return refused('every worker thread is being replaced: try again')
    }
    execution.supervisedBy(task)
    this.live.set(id, execution)
    void execution.over.then(() => {
      giveBack()
      if (number !== undefined && execution.outcome) this.recent.add(number)
      // Nothing of a sync execution is kept.
      if (!request.async) this.live.delete(id)
    })
    const supervised = this.supervise(execution, task)
    this.supervised.add(supervised)
    void supervised.then(() => this.supervised.delete(supervised))
    return { kind: 'started', execution }
  }

  /** Whether an execution has it, or was given it within the last hour. */
  isTaken(id: string, number: number | undefined = idNumber(id)): boolean {
    return this.live.has(id) || (number !== undefined && this.recent.has(number))
  }

  find(id: string): Execution | undefined {
    return this.live.get(id)
  }

  /** Those that are not over, oldest first. */
  list(): Execution[] {
    return [...this.live.values()].filter(({ isOver }) => !isOver)
  }

  /** Whether the agent is stopping: no new execution may be started. */
  get draining(): boolean {
    return this.stopping
  }

  /** Takes no new ones and ends those that wait for a slot. Resolves when the ones that run are over. */
  async drain(): Promise<void> {
    this.stopping = true
    const left = this.list()
    for (const execution of left) if (execution.queued) void execution.end('stopped')
    await Promise.all(left.map(({ over }) => over))
  }

  /** Ends all that run; resolves when they are over. */
  async stop(): Promise<void> {
    await Promise.all(this.list().map((execution) => execution.end('stopped')))
  }

  /** Resolves when nothing is left to do of any, not even a record to store. */
  async settled(): Promise<void> {
    await Promise.all(this.supervised)
  }

  private async supervise(execution: Execution, task: SupervisedTask): Promise<void> {
    try {
      await task.settled
    } catch (error) {
      // A thread that was closed has kept for the next start what was not stored yet.
      if (this.stopping && execution.isOver) return
      if (execution.pid !== undefined) platform.killGroup(execution.pid)
      execution.abandon(() => this.failed(execution, `worker thread failed: ${(error as Error).message}`))
      // The thread may have taken the end of the record with it.
      const record = execution.outcome?.record
      if (execution.async && record) await this.store(record)
    } finally {
      if (this.live.get(execution.id) === execution) this.live.delete(execution.id)
    }
  }

  /** The same object as long as nothing of it changes, so that it is told to each thread once. */
  private program({ settings, version, warnings }: FunctionLease): Program {
    const { variables } = this.node
    const made = this.programs.get(settings.name)
    if (
      made?.settings === settings &&
      made.version === version &&
      made.warnings === warnings &&
      made.variables === variables
    ) {
      return made.program
    }
    const program: Program = {
      functionName: settings.name,
      versionDir: version.dir,
      handler: settings.handler,
      env: { ...settings.env, ...variables },
      timeoutSeconds: settings.timeoutSeconds,
      limits: enforcedLimits(settings),
      ...(warnings.length > 0 && { warnings }),
    }
    this.programs.set(settings.name, { settings, version, warnings, variables, program })
    return program
  }

  private failed(execution: Execution, error: string): Outcome {
    const record: ExecutionRecord = {
      execution_id: execution.id,
      agent_id: this.agentId,
      function_name: execution.functionName,
      status: 'failed',
      error,
      started_at: execution.startedAt.toISOString(),
      status_at: new Date().toISOString(),
    }
    return { record, output: new Uint8Array() }
  }

  private store(record: ExecutionRecord): Promise<void> {
    return new Promise((resolve) => this.writes.push({ kind: 'end', record }, () => resolve()))
  }
}

function refused(error: string): Refusal {
  return { kind: 'refused', error, idTaken: false }
}
