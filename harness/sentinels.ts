import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.js'
import { onExit } from './on-exit.js'
import { FREE_PORT, portOf, RedisServer } from './redis.js'

const NAME = 'primary'
/** So long a primary is silent before its Sentinels replace it, ms. */
const DOWN_AFTER_MS = 500

/** How often they look at each other and at the servers, ms, so that a test need not wait as long as a node would. */
const QUICKLY = ['INFO-PERIOD', '300', 'PUBLISH-PERIOD', '300', 'PING-PERIOD', '200', 'ASK-PERIOD', '200']

/** What such a set-up differs in. */
export interface SentinelOptions {
  /** On the command line of each Redis. */
  readonly redis?: readonly string[]
  /** On that of each Sentinel. */
  readonly sentinel?: readonly string[]
  /** Of each Sentinel's configuration. */
  readonly lines?: readonly string[]
  /** The files for TLS, as options; each then has a port for it, too, and they speak it among themselves. */
  readonly tls?: readonly string[]
}

/** Of a store whose primary these Sentinels watch. */
export function sentinelAddress(sentinels: readonly RedisServer[]): string {
  const isTls = sentinels.some(({ tlsPort }) => tlsPort !== undefined)
  return `redis${isTls ? 's' : ''}+sentinel://${sentinels.map((one) => `127.0.0.1:${portOf(one)}`)}/${NAME}`
}

/** One that watches this primary. */
export async function startSentinel(
  primary: RedisServer,
  { sentinel = [], lines = [] }: Pick<SentinelOptions, 'sentinel' | 'lines'> = {},
): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), 'flux-sentinel-'))
  onExit(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'sentinel.conf')
  const contents = [
    `sentinel monitor ${NAME} 127.0.0.1 ${portOf(primary)} 2`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${NAME} 4000`,
    `sentinel parallel-syncs ${NAME} 2`,
    ...lines,
  ]
  await writeFile(file, `${contents.join('\n')}\n`)
  const started = await RedisServer.start(file, '--sentinel', ...sentinel)
  // Sentinels before Redis 7 lack it, and are slower.
  await started.with((redis) => redis.call('SENTINEL', 'DEBUG', ...QUICKLY).catch(() => undefined))
  return started
}

/** A Redis and one Sentinel, which has no replica to fail over to. */
export class RedisBehindSentinel extends RedisServer {
  #sentinel: RedisServer | undefined

  override get address(): string {
    return sentinelAddress(this.#sentinel ? [this.#sentinel] : [])
  }

  override async restart(): Promise<void> {
    await super.restart()
    this.#sentinel ??= await startSentinel(this)
  }

  override async stop(): Promise<void> {
    await this.#sentinel?.stop()
    await super.stop()
  }
}

/** A primary, two replicas, and three Sentinels that watch them; all real. */
export class RedisSentinels {
  readonly sentinels: readonly RedisServer[]
  readonly servers: readonly RedisServer[]

  private constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.servers = servers
    this.sentinels = sentinels
  }

  /** Resolves once each Sentinel knows the others and the replicas, which are in step. */
  static async start({ redis = [], sentinel = [], lines = [], tls }: SentinelOptions = {}): Promise<RedisSentinels> {
    const common = tls ? [...tls, '--tls-replication', 'yes', '--tls-port', FREE_PORT] : []
    const options = [...redis, ...common, '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']
    const first = await RedisServer.start(...options)
    const port = portOf(first)
    const replicas = await Promise.all(
      [1, 2].map(() => RedisServer.start(...options, '--replicaof', `127.0.0.1 ${port}`)),
    )
    const sentinels = await Promise.all(
      [1, 2, 3].map(() => startSentinel(first, { sentinel: [...sentinel, ...common], lines })),
    )
    const made = new RedisSentinels([first, ...replicas], sentinels)
    await eventually('the Sentinels know each other and the replicas', () => made.#isComplete(), 20)
    return made
  }

  /** Of the agent's store; all Sentinels in it. */
  get address(): string {
    return sentinelAddress(this.sentinels)
  }

  primaryOf(): Promise<RedisServer> {
    return this.primary()
  }

  /** The one that most Sentinels name. */
  async primary(): Promise<RedisServer> {
    const named = await Promise.all(this.sentinels.map((one) => this.#namedBy(one)))
    const found = this.servers.find((one) => named.filter((port) => port === portOf(one)).length * 2 > named.length)
    if (!found) throw new Error(`the Sentinels do not agree: ${named}`)
    return found
  }

  /** Resolves with the new primary, once `before` has been replaced. */
  replaced(before: RedisServer): Promise<RedisServer> {
    return eventually(
      'the Sentinels have chosen another primary',
      async () => {
        const found = await this.primary()
        return found === before ? undefined : found
      },
      30,
    )
  }

  /** Starts a failover as an operator does. */
  async failOver(): Promise<RedisServer> {
    const before = await this.primary()
    const [one] = this.sentinels
    await eventually('a Sentinel starts a failover', () =>
      one?.with((redis) => redis.call('SENTINEL', 'FAILOVER', NAME)),
    )
    return this.replaced(before)
  }

  /** Resolves once the replicas of the primary, all or so many, have what it has now. */
  async inStep(replicas = this.servers.length - 1): Promise<void> {
    const primary = await this.primary()
    const replication = () => primary.with((redis) => redis.info('replication'))
    const offset = Number(/master_repl_offset:(\d+)/.exec(await replication())?.[1])
    await eventually(
      'the replicas are in step',
      async () => {
        const offsets = [...(await replication()).matchAll(/state=online,offset=(\d+)/g)]
        return offsets.filter(([, at]) => Number(at) >= offset).length >= replicas
      },
      20,
    )
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()))
  }

  async #isComplete(): Promise<boolean> {
    const known = await Promise.all(
      this.sentinels.map((one) =>
        one.with(async (redis) => {
          const said = (await redis.call('SENTINEL', 'MASTER', NAME)) as string[]
          const value = (key: string) => said[said.indexOf(key) + 1]
          return value('num-slaves') === '2' && value('num-other-sentinels') === '2' && value('flags') === 'master'
        }),
      ),
    )
    await this.inStep()
    return known.every(Boolean)
  }

  async #namedBy(sentinel: RedisServer): Promise<number | undefined> {
    if (!sentinel.answering) return undefined
    return sentinel.with(async (redis) => {
      const named = await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)
      return Array.isArray(named) ? Number(named[1]) : undefined
    })
  }
}
