import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import * as z from 'zod'
import { StartRefused } from '../../host/start-refused.js'
import type { Log } from '../../log/log.js'
import { type NameHolder, type Store, StoreUnavailable } from '../../store/store.js'

/** In the state folder: an id of that folder, so that the agent's next run need not wait for the lease. */
const FILE = 'holder'

/** How long a lease lasts, and how often it is renewed. */
export interface LeaseTimes {
  readonly leaseMs: number
  readonly renewMs: number
}

const TIMES: LeaseTimes = { leaseMs: 30_000, renewMs: 5_000 }
const LOOK_MS = 500

const holderSchema = z.object({
  /** The id of the state folder. */
  holder: z.string(),
  /** The id of one run. */
  run: z.string(),
  host: z.string(),
  pid: z.number(),
  /** RFC 3339. */
  since: z.string(),
})
type Holder = z.infer<typeof holderSchema>

export interface IdentityOptions {
  readonly agentId: string
  readonly stateDir: string
  /** The configuration file with agent_id, for messages. */
  readonly file: string | undefined
  readonly store: Pick<Store, 'claimName' | 'releaseName'>
  readonly log: Log
  readonly times?: LeaseTimes
}

/** Another agent holds this one's name, so this one serves nothing new. */
export class NameLost extends Error {
  override readonly name = 'NameLost'
  readonly code = status.UNAVAILABLE
}

/**
 * This agent's name, held in the store by a lease, so that no other agent serves under it. While the store is
 * unavailable the agent goes on as before. Main thread only.
 */
export class Identity {
  private readonly own: Holder
  private readonly value: string
  private readonly times: LeaseTimes
  private timer: NodeJS.Timeout | undefined
  private renewal: Promise<void> | undefined
  /** When the store last answered, epoch ms: the wall clock also runs while the machine sleeps. */
  private askedAt = 0
  private other: string | undefined
  /** Since when the store has not answered a renewal, by `performance.now`. */
  private awaySince: number | undefined
  /** Why the store refuses the renewal, where no retry will help. */
  private refused: string | undefined

  constructor(private readonly options: IdentityOptions) {
    const { stateDir, times = TIMES } = options
    const since = new Date().toISOString()
    this.own = { holder: holderOf(stateDir), run: randomUUID(), host: hostname(), pid: process.pid, since }
    this.value = JSON.stringify(this.own)
    this.times = times
  }

  /**
   * Takes the name for this run. Waits for the end of another agent's lease, which `waiting` is called with. Rejects
   * with StartRefused where that agent is alive, and with StoreUnavailable.
   */
  async claim(waiting: (why: string) => void): Promise<void> {
    const { agentId, file } = this.options
    for (let before: NameHolder | undefined; ; await sleep(LOOK_MS)) {
      const found = await this.ask()
      if (found === undefined) return
      const who = `${agentId} is held by ${described(found.value)}`
      if (found.leftMs === undefined || (before?.leftMs !== undefined && found.leftMs > before.leftMs)) {
        throw new StartRefused(
          `${file ?? 'development defaults'}: agent_id: ${who}, which is alive; stop that one, or give this agent another ` +
            'agent_id',
        )
      }
      if (before?.value !== found.value) waiting(`${who}: its lease ends in ${Math.ceil(found.leftMs / 1000)} s`)
      before = found
    }
  }

  /** Renews the lease until `release`. */
  keep(): void {
    clearInterval(this.timer)
    this.timer = setInterval(() => void this.renew(), this.times.renewMs).unref()
  }

  /** Problems that an operator has to fix. */
  get problems(): string[] {
    return [...(this.other ? [this.other] : []), ...(this.refused ? [this.refused] : [])]
  }

  /** Why this agent may do nothing new: another one holds its name; undefined where it holds it. */
  get lost(): string | undefined {
    return this.other
  }

  /** For how long the store has not answered renewals, ms; 0: it answers. */
  get storeAwayMs(): number {
    return this.awaySince === undefined ? 0 : performance.now() - this.awaySince
  }

  /**
   * Undefined while the lease is valid. After a pause of this process in which it may have ended: resolves once the
   * store was asked, with or without an answer.
   */
  private get recheck(): Promise<void> | undefined {
    return this.timer && Date.now() - this.askedAt > this.times.leaseMs ? this.renew() : undefined
  }

  /** Runs an action under the agent's name; rejects with NameLost where another agent holds it. */
  async act<T>(action: () => Promise<T>): Promise<T> {
    const { recheck } = this
    if (recheck) await recheck
    if (this.other !== undefined) throw new NameLost(this.other)
    return action()
  }

  /** Frees the name. */
  async release(): Promise<void> {
    clearInterval(this.timer)
    this.timer = undefined
    await this.renewal
    await this.options.store.releaseName(this.options.agentId, this.value).catch(() => undefined)
  }

  private renew(): Promise<void> {
    this.renewal ??= this.renewed().finally(() => {
      this.renewal = undefined
    })
    return this.renewal
  }

  private async renewed(): Promise<void> {
    const { agentId, log, store } = this.options
    try {
      const found = await store.claimName(agentId, this.value, this.times.leaseMs)
      const other = found && `agent_id ${agentId} is held by ${described(found.value)} meanwhile`
      if (other && other !== this.other) {
        log.error(
          `${other}: no executions, functions or code are taken here; stop one of the two, or give it another agent_id`,
        )
      }
      if (this.other && !other) log.info(`agent_id ${agentId} is this agent's again`)
      this.other = other
      this.refused = undefined
      this.awaySince = undefined
    } catch (error) {
      const isKnown = error instanceof StoreUnavailable
      if (!isKnown) log.error({ err: error }, 'the name is not renewed')
      this.awaySince ??= performance.now()
      const refused = isKnown && error.permanent ? error.message : undefined
      if (refused && !this.refused) log.error({ cause: refused }, 'no retry will help until that is put right')
      this.refused = refused
    }
    this.askedAt = Date.now()
  }

  /**
   * Asks for the name. An earlier run of this state folder may be replaced at once: the folder's lock proves that it
   * has ended.
   */
  private async ask(): Promise<NameHolder | undefined> {
    const { agentId, store } = this.options
    const found = await store.claimName(agentId, this.value, this.times.leaseMs)
    const isOwn = isFrom(found && parse(found.value), this.own.holder, this.own.host)
    const other = isOwn ? await store.claimName(agentId, this.value, this.times.leaseMs, found?.value) : found
    this.askedAt = Date.now()
    return other
  }
}

/** Who holds a name. */
export type NameState =
  | { readonly kind: 'free' }
  /** `own`: an agent with this state folder. `leftMs`: time left of the lease; undefined: it never ends. */
  | {
      readonly kind: 'own' | 'other'
      readonly who: string
      readonly leftMs: number | undefined
      /** Whether it has renewed its lease recently, as a running agent does. */
      readonly alive: boolean
    }

/** Looks up who holds an agent's name, without taking it. Rejects with StoreUnavailable, and with errors of fs. */
export async function lookAtName(
  agentId: string,
  stateDir: string,
  store: Pick<Store, 'nameHolder'>,
): Promise<NameState> {
  const found = await store.nameHolder(agentId)
  if (found === undefined) return { kind: 'free' }
  const { value, leftMs } = found
  const kind = isFrom(parse(value), storedHolder(stateDir), hostname()) ? 'own' : 'other'
  const alive = leftMs === undefined || leftMs > TIMES.leaseMs - 2 * TIMES.renewMs
  return { kind, who: described(value), leftMs, alive }
}

function isFrom(found: Holder | undefined, holder: string | undefined, host: string): boolean {
  return found !== undefined && found.holder === holder && found.host === host
}

function holderOf(stateDir: string): string {
  const stored = storedHolder(stateDir)
  if (stored !== undefined) return stored
  const holder = randomUUID()
  writeFileSync(join(stateDir, FILE), `${holder}\n`, { mode: 0o600 })
  return holder
}

function storedHolder(stateDir: string): string | undefined {
  try {
    return readFileSync(join(stateDir, FILE), 'utf8').trim() || undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

function parse(value: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(value))
  } catch {
    return undefined
  }
}

function described(value: string): string {
  const holder = parse(value)
  return holder
    ? `the agent on ${holder.host}, process ${holder.pid}, since ${holder.since}`
    : 'an agent of another kind'
}
