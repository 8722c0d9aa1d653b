import { stat } from 'node:fs/promises'
import { Redis } from 'ioredis'
import { Patience } from '../../time/patience.js'
import { StoreUnavailable } from '../store.js'
import { parseRedisAddress } from './address.js'
import { HungUp, isReadOnly, isRefused, isReset, NoSocket, redisProblem } from './errors.js'
import { SilenceWatch } from './silence.js'
import { type RedisTls, redisTlsOptions } from './tls.js'

/** How long a connection may take to be made. */
const CONNECT_LIMIT_MS = 2_000
/**
 * How long Redis may be silent while anything is unanswered before the connection is given up. Long, because a stopped
 * Redis carries out what it was sent once it goes on: a batch is not sent again on another connection before that.
 */
const SILENCE_LIMIT_MS = 10_000
const LONGEST_RECONNECT_DELAY_MS = 1_000
/** Another connection may lead to another Redis, but a replica answers reads, too. */
const READ_ONLY_RECONNECT_MS = 2_000
/** Refusals further apart than this are not of one time in which it was a replica. */
const READ_ONLY_GAP_MS = 30_000

/** One connection to a Redis, made again for ever, and what is known of why there is none. */
export class RedisConnection {
  /** For people: without user and password. */
  readonly address: string
  readonly redis: Redis
  /** The first attempt to connect has had its outcome, so that what is asked right after opening is not refused. */
  readonly firstContact: Promise<void>
  readonly #silence: SilenceWatch
  readonly #tls: boolean
  readonly #user: string | undefined
  /** Of a socket. */
  readonly #path: string | undefined
  /** The server has answered on this connection: a stopped one accepts them, too. */
  #answers = false
  #lastError: unknown
  /** What is no socket refuses connections as one does that nobody listens to (connect(2)). */
  #noSocket: NoSocket | undefined
  #reconnectedAt = Number.NEGATIVE_INFINITY
  #readOnly: { readonly since: number; readonly last: number } | undefined
  #changed: (() => void)[] = []

  /** `address` as parseRedisAddress takes it. Throws AddressError, and RedisTlsError. */
  constructor(address: string, tlsFiles: RedisTls) {
    const { display, tls, connection } = parseRedisAddress(address)
    this.address = display
    this.#tls = tls
    this.#user = connection.username
    this.#path = connection.path
    this.redis = new Redis({
      ...connection,
      ...(tls && { tls: redisTlsOptions(tlsFiles, connection.host ?? '') }),
      // Proxies, and users without a right to HELLO, INFO or CLIENT: AUTH, SELECT and what the store needs is enough.
      protocol: 2,
      enableReadyCheck: false,
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // 0: what is unanswered when the connection breaks is rejected then, not after some attempts to reconnect.
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), LONGEST_RECONNECT_DELAY_MS),
      reconnectOnError: (error) => isReadOnly(error) && this.#mayReconnect(error),
      connectTimeout: CONNECT_LIMIT_MS,
      keepAlive: 10_000,
    })
    this.#watch()
    this.#silence = new SilenceWatch(this.redis, SILENCE_LIMIT_MS)
    this.firstContact = this.#change(CONNECT_LIMIT_MS)
  }

  /** The server has answered on the connection that there is. */
  get isReady(): boolean {
    return this.#answers && this.redis.status === 'ready' && this.redis.stream.writable
  }

  /**
   * The client, for commands whose answers are due from now on. Throws StoreUnavailable while there is no connection on
   * which the server has answered.
   */
  use(): Redis {
    if (!this.isReady) throw this.unavailable(undefined)
    this.#silence.begin()
    return this.redis
  }

  /** Waits until there is a connection again; no longer than `limitMs`. */
  async ready(limitMs: number): Promise<void> {
    const end = performance.now() + limitMs
    for (let left = limitMs; !this.isReady && left > 0; left = end - performance.now()) await this.#change(left)
  }

  /** It has taken a write. */
  wrote(): void {
    this.#readOnly = undefined
  }

  /** While there is no connection, what ended it or keeps it from being made says more than what a command met. */
  unavailable(error: unknown): StoreUnavailable {
    const met = this.isReady || isReadOnly(error) ? error : (this.#lastError ?? error ?? new Error('not connected'))
    const cause = isRefused(met) ? (this.#noSocket ?? met) : met
    if (isReadOnly(cause)) this.#isReplica()
    const readOnlyMs = this.#readOnly ? this.#readOnly.last - this.#readOnly.since : 0
    const { problem, ...advice } = redisProblem(cause, { tls: this.#tls, user: this.#user, readOnlyMs })
    return new StoreUnavailable(`Redis at ${this.address}: ${problem}`, { ...advice, cause })
  }

  close(): void {
    this.#silence.end()
    this.redis.disconnect()
  }

  #watch(): void {
    const { redis } = this
    // Of this connection: it has been made, the server has said something, and what went wrong.
    let isSilent = false
    let failure: unknown
    redis.on('connect', () => {
      isSilent = true
      redis.stream.once('data', () => {
        isSilent = false
      })
    })
    redis.on('ready', () => {
      // The least of what it is there for. A refusal is an answer, too; it may be the last word.
      const refused = (error: Error) => {
        if (error.name === 'ReplyError') failure = error
      }
      void redis
        .exists('flux:exec:')
        .catch(refused)
        .then(() => this.#answered())
    })
    redis.on('error', (error: Error & { command?: { name: string } }) => {
      failure = error
      this.#lastError = error
      // ioredis would go on in the database that it has not left, which is another one.
      if (error.command?.name === 'select') redis.disconnect(true)
    })
    redis.on('close', () => {
      this.#answers = false
      if (isSilent && (failure === undefined || isReset(failure))) failure = new HungUp('hung up')
      this.#lastError = failure ?? this.#lastError
      isSilent = false
      failure = undefined
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

  /** Resolves when a connection has been made, has failed or has broken, or after `limitMs`. */
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
