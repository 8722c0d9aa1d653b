import { stat } from 'node:fs/promises'
import { Redis } from 'ioredis'
import { Patience } from '../../time/patience.js'
import { StoreUnavailable } from '../store.js'
import { passwordReader, type RedisAccess } from './access.js'
import type { SentinelAddress, SingleAddress } from './address.js'
import { HungUp, isReadOnly, isRefused, isReset, NoPrimary, NoSocket, redisProblem, refusesAll } from './errors.js'
import { FailoverWatch, REPLACED } from './failover-watch.js'
import { SilenceWatch } from './silence.js'
import { targetOf } from './target.js'

/** Time limit for connecting. */
const CONNECT_LIMIT_MS = 2_000
/**
 * How long Redis may be silent, with answers due, before the connection is dropped. Long, because a stopped Redis still
 * executes what it was sent once it resumes: no batch is resent on another connection before that.
 */
const SILENCE_LIMIT_MS = 10_000
const LONGEST_RECONNECT_DELAY_MS = 1_000
/** Reconnecting may reach another Redis, but not too often, as a replica still serves reads. */
const READ_ONLY_RECONNECT_MS = 2_000
/** Refusals further apart than this belong to different failovers. */
const READ_ONLY_GAP_MS = 30_000

/**
 * One connection to a Redis, which reconnects forever, and the reason why there is none. Used on the thread that made
 * it.
 */
export class RedisConnection {
  /** For messages: without user and password. */
  readonly address: string
  readonly redis: Redis
  /**
   * Resolves once the first attempt to connect has ended, so that a command sent right after opening is not rejected.
   */
  readonly firstContact: Promise<void>
  readonly #silence: SilenceWatch
  /** Undefined without Sentinels. */
  readonly #failover: FailoverWatch | undefined
  readonly #tls: boolean
  readonly #user: string | undefined
  readonly #passwordFile: string | undefined
  /** Absolute path of a socket. */
  readonly #path: string | undefined
  /** Whether the server has answered on this connection: a stopped one accepts connections, too. */
  #answers = false
  /** What went wrong on this connection, and was not followed by an accepted write. */
  #failure: unknown
  #lastError: unknown
  /** The path is no socket: connecting to a regular file fails like one without a listener (connect(2)). */
  #noSocket: NoSocket | undefined
  #reconnectedAt = Number.NEGATIVE_INFINITY
  #readOnly: { readonly since: number; readonly last: number } | undefined
  #changed: (() => void)[] = []

  /** `cluster`: whether it is one node of a cluster. Throws AccessFileError. */
  constructor(
    parsed: SingleAddress | SentinelAddress,
    access: RedisAccess,
    private readonly cluster = false,
  ) {
    const { display, tls, credentials } = parsed
    this.address = display
    this.#tls = tls
    this.#user = credentials.username
    this.#passwordFile = access.passwordFile
    this.#path = parsed.kind === 'single' && 'path' in parsed.connection ? parsed.connection.path : undefined
    const { options, sentinels } = targetOf(parsed, access)
    const password = access.passwordFile && passwordReader('password_file', access.passwordFile)
    this.redis = new Redis({
      ...options,
      ...credentials,
      ...(password && { password: password() }),
      // Works with proxies and with users that lack HELLO, INFO or CLIENT: AUTH, SELECT and the store's commands are
      // enough.
      protocol: 2,
      enableReadyCheck: false,
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // 0: unanswered commands are rejected as soon as the connection breaks, not after some reconnects.
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => {
        // The next attempt signs in with what the options say then.
        if (password) this.redis.options.password = password()
        return Math.min(50 * 2 ** Math.min(attempt, 10), LONGEST_RECONNECT_DELAY_MS)
      },
      reconnectOnError: (error) => isReadOnly(error) && this.#mayReconnect(error),
      connectTimeout: CONNECT_LIMIT_MS,
      keepAlive: 10_000,
    })
    this.#watch()
    this.#silence = new SilenceWatch(this.redis, SILENCE_LIMIT_MS)
    this.#failover = sentinels && new FailoverWatch(this.redis, sentinels)
    this.firstContact = this.#change(CONNECT_LIMIT_MS)
  }

  /** Whether it leads to another Redis after a failover. */
  get hasSentinels(): boolean {
    return this.#failover !== undefined
  }

  /** Whether the server has answered on the current connection. */
  get isReady(): boolean {
    return this.#answers && this.redis.status === 'ready' && this.redis.stream.writable
  }

  /**
   * The client, for commands whose answers are due from now on. Throws StoreUnavailable while there is no connection
   * that the server has answered on.
   */
  use(): Redis {
    if (!this.isReady) throw this.unavailable(undefined)
    this.#silence.begin()
    this.#failover?.begin()
    return this.redis
  }

  /** Resolves once connected again, or after `limitMs`. */
  async ready(limitMs: number): Promise<void> {
    const end = performance.now() + limitMs
    for (let left = limitMs; !this.isReady && left > 0; left = end - performance.now()) await this.#change(left)
  }

  /** Call with how long an answer took. Rejects with StoreUnavailable where what it says may be lost. */
  async confirm(tookMs: number): Promise<void> {
    if (await this.#failover?.isVoid(tookMs)) throw this.unavailable(new Error(REPLACED))
  }

  /** Call when the server has accepted a write. */
  wrote(): void {
    this.#readOnly = undefined
    this.#failure = undefined
  }

  /**
   * The error for a failed command. Without a connection, the reason why there is none says more than the command's
   * error.
   */
  unavailable(error: unknown): StoreUnavailable {
    const met = this.isReady || isReadOnly(error) ? error : (this.#lastError ?? error ?? new Error('not connected'))
    const cause = isRefused(met) ? (this.#noSocket ?? met) : met
    if (isReadOnly(cause)) this.#isReplica()
    const readOnlyMs = this.#readOnly ? this.#readOnly.last - this.#readOnly.since : 0
    const { problem, ...advice } = redisProblem(cause, {
      tls: this.#tls,
      sentinel: this.#failover !== undefined,
      cluster: this.cluster,
      user: this.#user,
      passwordFile: this.#passwordFile,
      readOnlyMs,
    })
    return new StoreUnavailable(`Redis at ${this.address}: ${problem}`, { ...advice, cause })
  }

  /** Closes at once: what is not answered yet fails, and no later answer counts. */
  abandon(): void {
    const { stream } = this.redis
    this.close()
    stream?.destroy()
  }

  close(): void {
    this.#silence.end()
    this.#failover?.end()
    this.redis.disconnect()
  }

  #watch(): void {
    const { redis } = this
    // This connection is made, without any answer yet.
    let isSilent = false
    redis.on('connect', () => {
      isSilent = true
      redis.stream.once('data', () => {
        isSilent = false
      })
    })
    redis.on('ready', () => {
      // The cheapest command that the agent needs. A refusal is an answer, too, and may be the last one.
      const refused = (error: Error) => {
        if (error.name === 'ReplyError') this.#failure = error
        if (refusesAll(error)) redis.disconnect(true)
      }
      void redis
        .exists('flux:exec:')
        .catch(refused)
        .then(() => this.#answered())
    })
    redis.on('error', (error: Error & { command?: { name: string } }) => {
      this.#failure = error
      this.#lastError = error
      // After a failed SELECT ioredis would go on in the wrong database.
      if (error.command?.name === 'select') redis.disconnect(true)
      // There is no connection that could close.
      if (error instanceof NoPrimary) this.#announce()
    })
    redis.on('close', () => {
      this.#answers = false
      const failure =
        isSilent && (this.#failure === undefined || isReset(this.#failure)) ? new HungUp('hung up') : this.#failure
      this.#lastError = failure ?? this.#lastError
      isSilent = false
      this.#failure = undefined
      if (this.#path === undefined || !isRefused(this.#lastError)) return this.#announce()
      void noSocketAt(this.#path).then((problem) => {
        this.#noSocket = problem
        this.#announce()
      })
    })
  }

  #answered(): void {
    if (this.redis.status !== 'ready' || !this.redis.stream.writable) return
    this.#answers = true
    this.#lastError = undefined
    this.#noSocket = undefined
    this.#announce()
  }

  #announce(): void {
    for (const announce of this.#changed.splice(0)) announce()
  }

  /** Resolves when a connection is made, fails or breaks, or after `limitMs`. */
  #change(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const patience = new Patience(limitMs, resolve)
      this.#changed.push(() => {
        patience.end()
        resolve()
      })
    })
  }

  #isReplica(): void {
    const now = performance.now()
    const { since, last } = this.#readOnly ?? { since: now, last: now }
    this.#readOnly = { since: now - last < READ_ONLY_GAP_MS ? since : now, last: now }
  }

  #mayReconnect(why: Error): boolean {
    const now = performance.now()
    if (now - this.#reconnectedAt < READ_ONLY_RECONNECT_MS) return false
    this.#reconnectedAt = now
    this.#lastError = why
    return true
  }
}

async function noSocketAt(path: string): Promise<NoSocket | undefined> {
  const found = await stat(path).catch(() => undefined)
  return found && !found.isSocket() ? new NoSocket(found.isDirectory() ? 'folder' : 'file') : undefined
}
