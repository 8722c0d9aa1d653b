import { randomUUID } from 'node:crypto'
import { type LimitPolicy, limitProblem } from '../../host/limits.js'
import type { Log } from '../../log/log.js'
import type { FunctionSettings } from '../../store/function.js'
import { OutcomeUnknown, type Store, StoreUnavailable } from '../../store/store.js'
import type { Deployer } from './deployer.js'
import { fingerprintOf } from './fingerprint.js'
import type { Functions } from './functions.js'
import { Turns } from './turns.js'
import type { Withdrawals } from './withdrawals.js'

/** How long a registration waits for the withdrawal of a failed one before it. */
const WITHDRAWAL_LIMIT_MS = 2_000

/** A waiting caller is answered this long before its deadline, or when three quarters of its time have passed. */
const ANSWER_MS = 1_000
/** Callers with a later deadline than this just wait. */
const LONGEST_WAIT_MS = 3_600_000

/** The caller of a registration or a deploy. */
export interface Caller {
  /** Epoch ms; Infinity where it has none. */
  readonly deadline: number
  hasHungUp(): boolean
}

export type Change =
  | { readonly kind: 'done'; readonly message: string; readonly warnings: readonly string[] }
  /** Nothing has changed: not here, on disk, or in the store. */
  | { readonly kind: 'refused'; readonly message: string }

/** What registrations and deploys work with. */
interface Parts {
  readonly store: Store
  readonly functions: Functions
  readonly limits: LimitPolicy
  readonly deployer: Deployer
  readonly withdrawals: Withdrawals
  readonly log: Log
}

/**
 * Registers functions and deploys their code. Calls for one function run in order of arrival, so that the last one wins
 * here, on disk and in the store. A refusal changes nothing. A kill at any moment leaves settings and code that belong
 * together. A call is dropped if its caller hangs up, or is about to, before its turn; once begun it is completed. Main
 * thread only.
 */
export class Registrations {
  private readonly turns = new Turns()

  constructor(private readonly parts: Parts) {}

  register(settings: FunctionSettings, caller: Caller): Promise<Change> {
    return this.inTurn(settings.name, caller, async () => {
      const { functions, deployer } = this.parts
      const stored = await this.store(settings)
      if (stored.kind === 'refused') return stored
      const version = functions.version(settings.name)
      const problem = version && (await deployer.checkHandler(version, settings.handler))
      functions.register(settings, problem)
      return this.done('function registered', settings.name)
    })
  }

  /** `brought`: settings that come with the code. The archive must not be used afterwards. */
  deploy(name: string, brought: FunctionSettings | undefined, archive: Buffer, caller: Caller): Promise<Change> {
    return this.inTurn(name, caller, async () => {
      const { functions, deployer, withdrawals } = this.parts
      const settings = brought ?? functions.settings(name)
      if (!settings) return refused('function not registered')
      const problem = brought && this.problem(brought)
      if (problem) return refused(problem)
      const prepared = await deployer.prepare(settings, archive, brought && fingerprintOf(brought))
      if (prepared.kind === 'refused') return prepared

      const stored = brought && (await this.store(brought))
      if (stored?.kind === 'refused') {
        if (prepared.kind === 'prepared') await deployer.discard(prepared)
        return refused(`code unpacked, but ${stored.message}`)
      }
      const failed = brought && prepared.kind === 'prepared' ? await deployer.activate(prepared) : undefined
      if (failed) {
        if (brought && stored) await withdrawals.add(brought, stored.registration, failed.message)
        return failed
      }
      // Together, in one turn: new code under the old handler could not start.
      functions.register(settings)
      functions.serve(name, prepared.version)
      const message = prepared.kind === 'unchanged' ? 'function deployed already' : 'function deployed'
      return this.done(message, name, prepared.warnings)
    })
  }

  private inTurn(name: string, caller: Caller, work: () => Promise<Change>): Promise<Change> {
    let answered = false
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<Change>((resolve) => {
      const left = caller.deadline - Date.now()
      if (left > LONGEST_WAIT_MS) return
      timer = setTimeout(
        () => {
          answered = true
          resolve(refused(`function ${name} not changed: an earlier call for it still runs; try again`))
        },
        left - Math.min(ANSWER_MS, left / 4),
      )
    })
    const turn = this.turns.take(name, async () => {
      clearTimeout(timer)
      if (answered || caller.hasHungUp()) return refused('caller hung up: nothing is changed')
      return work()
    })
    return Promise.race([turn, late])
  }

  /** Stores settings. They can be withdrawn by the answer's `registration` until they are in use. */
  private async store(
    settings: FunctionSettings,
  ): Promise<{ readonly kind: 'stored'; readonly registration: string } | (Change & { readonly kind: 'refused' })> {
    const { store, withdrawals } = this.parts
    const { name } = settings
    const problem = this.problem(settings)
    if (problem) return refused(problem)
    const unsettled = await withdrawals.settled(name, WITHDRAWAL_LIMIT_MS)
    if (unsettled) {
      return refused(
        `function ${name} not registered: a failed registration before it is not withdrawn yet: ${unsettled}`,
      )
    }
    const registration = randomUUID()
    try {
      await store.putFunction(settings, registration)
      return { kind: 'stored', registration }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      if (error instanceof OutcomeUnknown) await withdrawals.add(settings, registration, error.message)
      return refused(`function ${name} not registered: ${error.message}`)
    }
  }

  private problem(settings: FunctionSettings): string | undefined {
    const { limits, functions } = this.parts
    const { name } = settings
    const other = process.platform === 'win32' ? functions.differingInCase(name) : undefined
    if (other === undefined) return limitProblem(limits, settings)
    return `function ${name} not registered: there is a function ${other}, and Windows takes their folders for one; give it another name`
  }

  private done(message: string, name: string, more: readonly string[] = []): Change {
    const { functions, log } = this.parts
    log.info({ function: name, version: functions.version(name)?.digest }, message)
    const warnings = [...more, ...functions.warnings(name)]
    for (const warning of warnings) log.warn(`function ${name}: ${warning}`)
    return { kind: 'done', message, warnings }
  }
}

function refused(message: string): Change & { readonly kind: 'refused' } {
  return { kind: 'refused', message }
}
