import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import { freePort } from './free-port.js'
import { onExit } from './on-exit.js'

/**
 * Why tests of Redis are skipped; undefined where redis-server is installed. In CI they are never skipped: without it
 * they fail.
 */
export const noRedis: string | undefined =
  process.env['CI'] || spawnSync('redis-server', ['--version']).status === 0
    ? undefined
    : 'redis-server is not installed'

/** What agents under test store in: a Redis or a cluster. Everything happens to all nodes of a cluster. */
export interface TestRedis {
  /** As the agent's configuration has it. */
  readonly address: string
  /** Those that hold keys. */
  readonly servers: readonly RedisServer[]
  /** The one that has a key's slot. */
  primaryOf(key: string): Promise<RedisServer>
  /** See RedisServer. */
  restart(): Promise<void>
  halt(save?: boolean): Promise<void>
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** As the value of an option: a free port. */
export const FREE_PORT = 'free port'

/** A real Redis on a free port of the loopback, in a folder of its own; both it has from its first start on. */
export class RedisServer implements TestRedis {
  readonly #options: readonly string[]
  #place: { readonly port: number; readonly dir: string; readonly options: readonly string[] } | undefined
  #process: ChildProcess | undefined
  #isPaused = false

  /** `options` as on its command line, besides the ones that every one gets; the path of a configuration may be first. */
  constructor(...options: readonly string[]) {
    this.#options = options
  }

  static async start(...options: readonly string[]): Promise<RedisServer> {
    const server = new RedisServer(...options)
    try {
      await server.restart()
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  get port(): number {
    return this.place.port
  }

  /** The one for TLS, where it has one. */
  get tlsPort(): number | undefined {
    const port = this.option('--tls-port')
    return port === undefined ? undefined : Number(port)
  }

  get address(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get servers(): readonly RedisServer[] {
    return [this]
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  async primaryOf(): Promise<RedisServer> {
    return this
  }

  /** Whether it runs and is not paused. */
  get answering(): boolean {
    return this.running && !this.#isPaused
  }

  /** Runs commands on a separate connection. */
  async with<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    // Loaded here only, since most tests need no Redis.
    const { Redis } = await import('ioredis')
    const password = this.option('--requirepass')
    const redis = new Redis(this.port, { retryStrategy: () => 20, ...(password && { password }) })
    redis.on('error', () => {})
    try {
      return await use(redis)
    } finally {
      redis.disconnect()
    }
  }

  /** Ends it; its data is lost unless `save`. */
  async halt(save = false): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    child.kill('SIGCONT')
    this.#isPaused = false
    // It may have ended by itself.
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.ref()
    // In one step: a write between a SAVE and the kill would be answered, and lost.
    if (save) await this.with((redis) => redis.shutdown('SAVE')).catch(() => {})
    else child.kill('SIGKILL')
    await exit
  }

  /** Starts it, or starts it again on the same port with the saved data. */
  async restart(): Promise<void> {
    if (this.#place) return this.#run()
    onExit(() => this.#process?.kill('SIGKILL'))
    try {
      await this.#choosePlace()
      await this.#run()
    } catch (error) {
      // It still runs, and does not answer.
      if (this.#process?.exitCode === null && this.#process.signalCode === null) throw error
      // A port that was free may have been taken before the server listened.
      await this.stop()
      await this.#choosePlace()
      await this.#run()
    }
  }

  async #choosePlace(): Promise<void> {
    const options = await Promise.all(
      this.#options.map(async (option) => (option === FREE_PORT ? String(await freePort()) : option)),
    )
    this.#place = { port: await freePort(), dir: await mkdtemp(join(tmpdir(), 'flux-redis-')), options }
  }

  async #run(): Promise<void> {
    const { port, dir, options } = this.place
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir]
    const [first] = options
    const all = first?.startsWith('-') === false ? [first, ...own, ...options.slice(1)] : [...own, ...options]
    this.#process = spawn('redis-server', all, { stdio: 'ignore' })
    await once(this.#process, 'spawn')
    // A test that failed before it could stop it must not wait for it.
    this.#process.unref()
    const ended = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`redis-server ended with code ${code}`)
    })
    await Promise.race([eventually('redis-server answers', () => this.with((redis) => redis.ping()), 30), ended])
  }

  /** Deletes the saved data. Call while it does not run. */
  forget(): void {
    rmSync(this.place.dir, { recursive: true })
    mkdirSync(this.place.dir)
  }

  pause(): void {
    this.#process?.kill('SIGSTOP')
    this.#isPaused = true
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
    this.#isPaused = false
  }

  /** Ends it and deletes its folder. */
  async stop(): Promise<void> {
    await this.halt()
    if (this.#place) await rm(this.#place.dir, { recursive: true, force: true })
  }

  /** The value of an option on its command line. */
  option(name: string): string | undefined {
    const options = this.#place?.options ?? this.#options
    const at = options.indexOf(name)
    return at === -1 ? undefined : options[at + 1]
  }

  private get place() {
    if (!this.#place) throw new Error('this Redis has not been started yet')
    return this.#place
  }
}

/** That which other servers and the agent connect to. */
export function portOf({ port, tlsPort }: RedisServer): number {
  return tlsPort ?? port
}
