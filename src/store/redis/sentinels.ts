import type { ConnectionOptions } from 'node:tls'
import { Redis } from 'ioredis'
import type { StoreProblem } from '../store.js'
import { passwordReader, type RedisAccess } from './access.js'
import type { HostPort, SentinelAddress } from './address.js'
import { isRefused, NoPrimary, redisProblem, wantsOtherPassword } from './errors.js'
import { mostAnswers } from './most-answers.js'
import { redisTlsOptions } from './tls.js'

const CONNECT_LIMIT_MS = 1_000
/** With the time for connecting. */
const ANSWER_LIMIT_MS = 2_000
/** For the others, once one has named a primary. */
const GRACE_MS = 500

/** The Redis that Sentinels name. */
export interface Primary extends HostPort {
  /** Counts the failovers: of two answers, the one with the higher epoch is the newer. Undefined: not told. */
  readonly epoch: number | undefined
}

/** What one Sentinel says. `unknown`: it watches no primary of that name. */
export type SentinelAnswer =
  | { readonly kind: 'primary'; readonly primary: Primary }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'failed'; readonly problem: StoreProblem }

/**
 * The Sentinels of an address. Each question is put to all at once, since one of them may be stopped, or cut off from
 * the others with a primary that they have replaced. Used on the thread that made it.
 */
export class Sentinels {
  readonly #address: SentinelAddress
  readonly #access: RedisAccess
  readonly #password: (() => string) | undefined
  /** For each Sentinel; made once, since a file may be unusable later. */
  readonly #tls: ReadonlyMap<HostPort, ConnectionOptions>
  /** What `primary` has answered last. */
  #primary: Primary | undefined
  /** Answers `hasMoved`, until it fails; then the next one does. */
  #kept: SentinelLink | undefined
  #turn = 0

  /** Throws AccessFileError. */
  constructor(address: SentinelAddress, access: RedisAccess) {
    this.#address = address
    this.#access = access
    const { sentinels, tls } = address
    this.#tls = new Map(tls ? sentinels.map((at) => [at, redisTlsOptions(access, at.host)]) : [])
    this.#password =
      access.sentinelPasswordFile === undefined
        ? undefined
        : passwordReader('sentinel_password_file', access.sentinelPasswordFile)
  }

  /**
   * The primary that the newest answer names, once more than half have answered, or all that do so in time. Rejects with
   * NoPrimary.
   */
  async primary(): Promise<Primary> {
    const found = await mostAnswers(this.#askAll(), ({ kind }) => kind === 'primary', GRACE_MS)
    const [first, ...others] = found.flatMap((answer) => (answer.kind === 'primary' ? [answer.primary] : []))
    if (!first) throw new NoPrimary(this.#whyNone(found))
    this.#primary = others.reduce((best, other) => (isNewer(other, best) ? other : best), first)
    return this.#primary
  }

  /** What each of them says, in the order of the address. */
  survey(): Promise<SentinelAnswer[]> {
    return Promise.all(this.#askAll())
  }

  /**
   * Whether there has been a failover since `primary` answered, by one Sentinel on a connection that is kept; false where
   * that one does not answer.
   */
  async hasMoved(): Promise<boolean> {
    const { sentinels } = this.#address
    const at = sentinels[this.#turn % sentinels.length]
    const before = this.#primary
    if (!at || !before) return false
    this.#kept ??= this.#link(at)
    const link = this.#kept
    const answer = await link.ask(this.#address.name, before)
    if (answer.kind === 'primary') return before === this.#primary && isNewer(answer.primary, before)
    if (link === this.#kept) {
      this.release()
      this.#turn++
    }
    return false
  }

  /**
   * As `hasMoved`, by all Sentinels, for what happened until this call; false where none of them answers.
   */
  async haveMoved(): Promise<boolean> {
    const before = this.#primary
    if (!before) return false
    return this.primary().then(
      (now) => isNewer(now, before),
      () => false,
    )
  }

  /** Closes the connection that is kept. */
  release(): void {
    this.#kept?.close()
    this.#kept = undefined
  }

  #askAll(): Promise<SentinelAnswer>[] {
    return this.#address.sentinels.map(async (at) => {
      const link = this.#link(at)
      try {
        return await link.ask(this.#address.name)
      } finally {
        link.close()
      }
    })
  }

  #link(at: HostPort): SentinelLink {
    const { family } = this.#address
    const tls = this.#tls.get(at)
    const password = this.#password?.()
    const username = this.#access.sentinelUser
    const client = new Redis({
      ...at,
      ...(family !== undefined && { family }),
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(tls && { tls }),
      protocol: 2,
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: null,
      connectTimeout: CONNECT_LIMIT_MS,
      commandTimeout: ANSWER_LIMIT_MS,
    })
    return new SentinelLink(client, tls !== undefined, username, this.#access.sentinelPasswordFile)
  }

  #whyNone(answers: readonly SentinelAnswer[]): StoreProblem {
    const { name, sentinels } = this.#address
    const failed = answers.flatMap((answer) => (answer.kind === 'failed' ? [answer.problem] : []))
    if (failed.length < answers.length) {
      const permanent = failed.length === 0
      return {
        problem: `its Sentinels watch no primary called ${name}`,
        fix: 'correct the name in redis_addr',
        permanent,
      }
    }
    // What only an operator can put right says more than that one of them is away.
    const first = failed.find(({ permanent }) => permanent) ?? failed[0]
    const none =
      sentinels.length === 1 ? 'its Sentinel does not answer' : `none of its ${sentinels.length} Sentinels answers`
    const permanent = failed.every((problem) => problem.permanent)
    return { problem: `${none}: ${first?.problem}`, fix: first?.fix, permanent }
  }
}

/** One connection to a Sentinel. */
class SentinelLink {
  #failure: Error | undefined

  constructor(
    private readonly client: Redis,
    private readonly tls: boolean,
    private readonly user: string | undefined,
    private readonly passwordFile: string | undefined,
  ) {
    client.on('error', (error) => {
      this.#failure ??= error
    })
  }

  /** `known` is the answer where that is still the primary. */
  async ask(name: string, known?: Primary): Promise<SentinelAnswer> {
    try {
      const address = await this.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
      if (!Array.isArray(address)) return { kind: 'unknown' }
      const [host, port] = [String(address[0]), Number(address[1])]
      if (known?.host === host && known.port === port) return { kind: 'primary', primary: known }
      // A user of Sentinel's may lack this.
      const epoch = await this.client.call('SENTINEL', 'MASTER', name).then(epochOf, () => undefined)
      return { kind: 'primary', primary: { host, port, epoch } }
    } catch (error) {
      const isSilent = (error as Error).message === 'Command timed out'
      const silence = new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`)
      return { kind: 'failed', problem: this.#problem(this.#failure ?? (isSilent ? silence : error)) }
    }
  }

  close(): void {
    this.client.disconnect()
  }

  #problem(error: unknown): StoreProblem {
    const { tls, user, passwordFile } = this
    const said = redisProblem(error, {
      tls,
      sentinel: false,
      cluster: false,
      user,
      passwordFile: undefined,
      readOnlyMs: 0,
    })
    if (wantsOtherPassword(error)) {
      const fix = passwordFile
        ? `correct the password in ${passwordFile} (redis.sentinel_password_file)${user ? ', or redis.sentinel_user' : ''}`
        : 'give a file with the password of the Sentinels in redis.sentinel_password_file'
      return { ...said, fix }
    }
    if (/unknown command/i.test(said.problem))
      return { ...said, fix: 'what answers there is no Sentinel: correct redis_addr', permanent: true }
    if (isRefused(error)) return { ...said, fix: 'start them, or correct redis_addr' }
    return said
  }
}

function isNewer(one: Primary, other: Primary): boolean {
  if (one.epoch === undefined || other.epoch === undefined) return one.host !== other.host || one.port !== other.port
  // Of the same epoch, they may be two names of one Redis.
  return one.epoch > other.epoch
}

/** From names and values in turn. */
function epochOf(details: unknown): number | undefined {
  if (!Array.isArray(details)) return undefined
  const at = details.indexOf('config-epoch')
  const epoch = Number(details[at + 1])
  return at === -1 || !Number.isSafeInteger(epoch) ? undefined : epoch
}
