import { eventually } from './eventually.js'
import { FREE_PORT, portOf, RedisServer, type TestRedis } from './redis.js'

const SLOTS = 16_384

export interface ClusterOptions {
  /** Default 3. */
  readonly primaries?: number
  /** Of each; default 1. */
  readonly replicas?: number
  /** After which silence the others take a primary for dead, ms; default 2,000. */
  readonly nodeTimeoutMs?: number
  /** On the command line of each node. */
  readonly redis?: readonly string[]
  /** The files for TLS, as options; each node then has a port for it, too, and they speak it among themselves. */
  readonly tls?: readonly string[]
}

/** A real Redis Cluster. A node that is killed begins again as what it was last. */
export class RedisCluster implements TestRedis {
  readonly #primaries: number
  readonly #options: ClusterOptions
  #servers: RedisServer[] = []

  constructor(options: ClusterOptions = {}) {
    this.#options = options
    this.#primaries = options.primaries ?? 3
  }

  static async start(options?: ClusterOptions): Promise<RedisCluster> {
    const cluster = new RedisCluster(options)
    await cluster.restart()
    return cluster
  }

  get servers(): readonly RedisServer[] {
    return this.#servers
  }

  get address(): string {
    const { tls } = this.#options
    return `redis${tls ? 's' : ''}+cluster://${this.servers.map((server) => `127.0.0.1:${portOf(server)}`)}`
  }

  /** Makes the cluster, or starts its nodes again with the saved data. */
  async restart(): Promise<void> {
    if (this.#servers.length > 0) await Promise.all(this.servers.map((server) => server.restart()))
    else await this.#create()
    await eventually('every node knows the others', () => this.isWhole(), 30)
  }

  async halt(save?: boolean): Promise<void> {
    await Promise.all(this.servers.map((server) => server.halt(save)))
  }

  pause(): void {
    for (const server of this.servers) server.pause()
  }

  resume(): void {
    for (const server of this.servers) server.resume()
  }

  /** The server that serves the slot of that key. */
  async primaryOf(key: string): Promise<RedisServer> {
    const slot = await this.#any().with((redis) => redis.cluster('KEYSLOT', key))
    const range = (await this.#ranges()).find(([from, to]) => from <= slot && slot <= to)
    return this.#at(range?.[2]?.[1])
  }

  /** Its primaries now. */
  async primaries(): Promise<RedisServer[]> {
    const ports = (await this.#ranges()).map((range) => range[2]?.[1])
    return [...new Set(ports)].map((port) => this.#at(port))
  }

  /** Runs a command on the node of its first key. */
  async call(name: string, key: string, ...args: readonly (string | number)[]): Promise<unknown> {
    const server = await this.primaryOf(key)
    return server.with((redis) => redis.call(name, key, ...args))
  }

  /** Moves the slot of that key, with all its keys, to another primary; `halfWay` happens before the keys move. */
  async moveSlot(key: string, halfWay: () => Promise<unknown> = async () => {}): Promise<void> {
    const slot = await this.#any().with((redis) => redis.cluster('KEYSLOT', key))
    const from = await this.primaryOf(key)
    const primaries = await this.primaries()
    const to = primaries.find((server) => server !== from) as RedisServer
    const [fromId, toId] = await Promise.all([from, to].map((server) => server.with((redis) => redis.cluster('MYID'))))
    await to.with((redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId)))
    await from.with((redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId)))
    await halfWay()
    await from.with(async (redis) => {
      for (;;) {
        const keys = await redis.cluster('GETKEYSINSLOT', slot, 1)
        if (keys.length === 0) return
        await redis.call('MIGRATE', '127.0.0.1', portOf(to), '', 0, 5_000, 'KEYS', ...(keys as unknown as string[]))
      }
    })
    for (const server of [to, from, ...primaries.filter((one) => one !== to && one !== from)]) {
      await server.with((redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId)))
    }
  }

  /** Whether all nodes say that all slots are served, and replicas have their primaries. */
  async isWhole(): Promise<boolean> {
    const alive = this.servers.filter(({ running }) => running)
    const infos = await Promise.all(alive.map((server) => server.with((redis) => redis.cluster('INFO'))))
    const whole = infos.every(
      (info) =>
        /cluster_state:ok/.test(info) &&
        info.includes(`cluster_slots_assigned:${SLOTS}`) &&
        Number(/cluster_known_nodes:(\d+)/.exec(info)?.[1]) >= this.servers.length,
    )
    if (!whole) return false
    const roles = await Promise.all(alive.map((server) => server.with((redis) => redis.role())))
    return roles.every((role) => role[0] !== 'slave' || role[3] === 'connected')
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()))
  }

  /** As redis-cli --cluster create does, which takes seconds. */
  async #create(): Promise<void> {
    const { replicas = 1 } = this.#options
    this.#servers = await Promise.all(Array.from({ length: this.#primaries * (1 + replicas) }, () => this.#node()))
    const first = (index: number) => Math.floor((index * SLOTS) / this.#primaries)
    // Before they know each other; two with one epoch would have to agree on others first.
    const asks = this.#servers.map((server, index) =>
      server.with(async (redis) => {
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
        if (index < this.#primaries) await redis.call('CLUSTER', 'ADDSLOTSRANGE', first(index), first(index + 1) - 1)
      }),
    )
    await Promise.all(asks)
    for (const [index, server] of this.#servers.entries()) {
      await server.with(async (redis) => {
        for (const other of this.#servers.slice(index + 1)) {
          await redis.call('CLUSTER', 'MEET', '127.0.0.1', portOf(other), other.option('--cluster-port') as string)
        }
      })
    }
    const ids = await Promise.all(this.#servers.map((server) => server.with((redis) => redis.cluster('MYID'))))
    const ofReplicas = this.#servers.slice(this.#primaries).map(async (server, index) => {
      const primary = String(ids[index % this.#primaries])
      await server.with((redis) =>
        eventually('it knows its primary', () => redis.call('CLUSTER', 'REPLICATE', primary)),
      )
    })
    await Promise.all(ofReplicas)
  }

  async #node(): Promise<RedisServer> {
    const { nodeTimeoutMs = 2_000, redis = [], tls } = this.#options
    return RedisServer.start(
      ...['--cluster-enabled', 'yes', '--cluster-port', FREE_PORT],
      ...['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-require-full-coverage', 'no'],
      ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
      ...(tls ? [...tls, '--tls-port', FREE_PORT, '--tls-cluster', 'yes', '--tls-replication', 'yes'] : []),
      ...redis,
    )
  }

  #ranges() {
    return this.#any().with((redis) => redis.cluster('SLOTS'))
  }

  #any(): RedisServer {
    const server = this.servers.find(({ answering }) => answering)
    if (!server) throw new Error('no node answers')
    return server
  }

  #at(port: number | undefined): RedisServer {
    const server = this.servers.find((one) => one.port === port)
    if (!server) throw new Error(`no node at ${port}`)
    return server
  }
}
