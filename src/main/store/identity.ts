import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { z } from 'zod'
import { StartRefused } from '../../host/start-refused.js'
import type { Log } from '../../log/log.js'
import { type NameHolder, type Store, StoreUnavailable } from '../../store/store.js'

/** Names, in the state folder, the place that holds the agent's name, so that its next run need not wait. */
const FILE = 'holder'

/** How long the name stays with an agent that says nothing more, and how often it does. */
export interface LeaseTimes {
  readonly leaseMs: number
  readonly renewMs: number
}

const TIMES: LeaseTimes = { leaseMs: 30_000, renewMs: 5_000 }
const LOOK_MS = 500

const holderSchema = z.object({
  /** Of the state folder. */
  holder: z.string(),
  /** Of one run. */
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
  /** Where agent_id stands, for a refusal. */
  readonly file: string | undefined
  readonly store: Pick<Store, 'claimName' | 'releaseName'>
  readonly log: Log
  readonly times?: LeaseTimes
}

/** Another agent has the name: this one is as good as away. */
export class NameLost extends Error {
  override readonly name = 'NameLost'
  readonly code = status.UNAVAILABLE
}

/**
 * The name of this agent, which it holds in the store by a lease, so that no other serves under it. While the store does
 * not answer it goes on as before. Main thread only.
 */
export class Identity {
  private readonly own: Holder
  private readonly value: string
  private readonly times: LeaseTimes
  private timer: NodeJS.Timeout | undefined
  private renewal: Promise<void> | undefined
  /** When the store was last asked, epoch ms: unlike other clocks it goes on while the machine sleeps. */
  private askedAt = 0
  private other: string | undefined
  /** What the store has against it, where no retry will help. */
  private refused: string | undefined

  constructor(private readonly options: IdentityOptions) {
    const { stateDir, times = TIMES } = options
    const since = new Date().toISOString()
    this.own = { holder: holderOf(stateDir), run: randomUUID(), host: hostname(), pid: process.pid, since }
    this.value = JSON.stringify(this.own)
    this.times = times
  }

  /**
   * Takes the name for this run. Where another has it, waits until its lease has run out, which `waiting` is told of.
   * Rejects with StartRefused where that one lives, and with StoreUnavailable.
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

  /** Holds the name from now on, until `release`. */
  keep(): void {
    clearInterval(this.timer)
    this.timer = setInterval(() => void this.renew(), this.times.renewMs).unref()
  }

  /** What an operator has to put right. */
  get problems(): string[] {
    return [...(this.other ? [this.other] : []), ...(this.refused ? [this.refused] : [])]
  }

  /** Why this agent may do nothing new in its name: another has it. */
  get lost(): string | undefined {
    return this.other
  }

  /**
   * Undefined where it is as sure as it gets. After so long a pause of this process that another may have taken the
   * name: resolves when the store has been asked, whatever it said.
   */
  private get doubt(): Promise<void> | undefined {
    return this.timer && Date.now() - this.askedAt > this.times.leaseMs ? this.renew() : undefined
  }

  /** Does something new in its name; rejects with NameLost where another has it. */
  async act<T>(action: () => Promise<T>): Promise<T> {
    const { doubt } = this
    if (doubt) await doubt
    if (this.other !== undefined) throw new NameLost(this.other)
    return action()
  }

  /** Lets go of the name. */
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
    } catch (error) {
      const isKnown = error instanceof StoreUnavailable
      if (!isKnown) log.error({ err: error }, 'the name is not renewed')
      const refused = isKnown && error.permanent ? error.message : undefined
      if (refused && !this.refused) log.error({ cause: refused }, 'no retry will help until that is put right')
      this.refused = refused
    }
    this.askedAt = Date.now()
  }

  /** The last run of this very state folder is over: its lock says so. */
  private async ask(): Promise<NameHolder | undefined> {
    const { agentId, store } = this.options
    const found = await store.claimName(agentId, this.value, this.times.leaseMs)
    const isOwn = isFrom(found && parse(found.value), this.own.holder, this.own.host)
    const other = isOwn ? await store.claimName(agentId, this.value, this.times.leaseMs, found?.value) : found
    this.askedAt = Date.now()
    return other
  }
}

/** Who has a name. */
export type NameState =
  | { readonly kind: 'free' }
  /** `own`: an agent with this state folder. `leftMs`: of its lease; undefined: for ever. */
  | {
      readonly kind: 'own' | 'other'
      readonly who: string
      readonly leftMs: number | undefined
      /** Whether it has renewed its lease lately, as one that runs does. */
      readonly alive: boolean
    }

/** Looks who has the name of an agent, and takes nothing. Rejects with StoreUnavailable, and with the errors of fs. */
export async function lookAtName(
  agentId: string,
  stateDir: string,
  store: Pick<Store, 'nameHolder'>,
): Promise<NameState> {
  const found = await store.nameHolder(agentId)
  if (found === undefined) return { kind: 'free' }
  const { value, leftMs } = found
  const kind = isFrom(parse(value), keptHolder(stateDir), hostname()) ? 'own' : 'other'
  const alive = leftMs === undefined || leftMs > TIMES.leaseMs - 2 * TIMES.renewMs
  return { kind, who: described(value), leftMs, alive }
}

function isFrom(found: Holder | undefined, holder: string | undefined, host: string): boolean {
  return found !== undefined && found.holder === holder && found.host === host
}

function holderOf(stateDir: string): string {
  const kept = keptHolder(stateDir)
  if (kept !== undefined) return kept
  const holder = randomUUID()
  writeFileSync(join(stateDir, FILE), `${holder}\n`, { mode: 0o600 })
  return holder
}

function keptHolder(stateDir: string): string | undefined {
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
