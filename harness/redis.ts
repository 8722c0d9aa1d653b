import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { eventually } from './eventually.js'

/**
 * Why tests that need a real redis-server are skipped; undefined where there is one. In CI it never is: there they run,
 * and fail.
 */
export const noRedis: string | undefined =
  process.env['CI'] || spawnSync('redis-server', ['--version']).status === 0
    ? undefined
    : 'redis-server is not installed'

/** A real Redis on a free port of the loopback, in a folder of its own. */
export class RedisServer {
  readonly port: number
  readonly #dir: string
  readonly #options: readonly string[]
  #process: ChildProcess | undefined

  private constructor(port: number, dir: string, options: readonly string[]) {
    this.port = port
    this.#dir = dir
    this.#options = options
  }

  /** `options` as on its command line, besides the ones that every one gets. */
  static async start(...options: readonly string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'flux-redis-')), options)
    await server.restart()
    return server
  }

  get address(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** Runs commands on a connection of its own. */
  async with<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.port, { retryStrategy: () => 20 })
    redis.on('error', () => {})
    try {
      return await use(redis)
    } finally {
      redis.disconnect()
    }
  }

  /** Ends it, with its data unless `save`. */
  async halt(save = false): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    child.kill('SIGCONT')
    const exit = once(child, 'exit')
    // In one step: a write between a SAVE and the kill would be answered, and lost.
    if (save) await this.with((redis) => redis.shutdown('SAVE')).catch(() => {})
    else child.kill('SIGKILL')
    await exit
  }

  /** Begins again on the same port, with the data that was saved. */
  async restart(): Promise<void> {
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--dir', this.#dir]
    const options = [...own, ...this.#options]
    this.#process = spawn('redis-server', options, { stdio: 'ignore' })
    await once(this.#process, 'spawn')
    await eventually('redis-server answers', () => this.with((redis) => redis.ping()))
  }

  /** Deletes what it has saved, while it does not run. */
  forget(): void {
    rmSync(this.#dir, { recursive: true })
    mkdirSync(this.#dir)
  }

  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  /** Ends it and deletes its folder. */
  async stop(): Promise<void> {
    await this.halt()
    await rm(this.#dir, { recursive: true, force: true })
  }
}

/** Of the loopback; somebody else may take it before it is used. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
