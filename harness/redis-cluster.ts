import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { eventually } from './eventually.js'
import { freePort, RedisServer } from './redis.js'

const run = promisify(execFile)

export interface ClusterOptions {
  /** Default 1. */
  readonly replicas?: number
  /** After which silence the others take a primary for dead, ms; default 2,000. */
  readonly nodeTimeoutMs?: number
}

/** A real Redis Cluster: three primaries, with replicas. A node that is killed begins again as what it was last. */
export class RedisCluster {
  private constructor(readonly servers: readonly RedisServer[]) {}

  static async start({ replicas = 1, nodeTimeoutMs = 2_000 }: ClusterOptions = {}): Promise<RedisCluster> {
    const servers = await Promise.all(
      Array.from({ length: 3 * (1 + replicas) }, async () =>
        RedisServer.start(
          ...['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())],
          ...['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-require-full-coverage', 'no'],
          ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
        ),
      ),
    )
    const cluster = new RedisCluster(servers)
    const places = servers.map(({ port }) => `127.0.0.1:${port}`)
    await run('redis-cli', ['--cluster', 'create', ...places, '--cluster-replicas', String(replicas), '--cluster-yes'])
    await eventually('every node knows the others', () => cluster.isWhole(3 * (1 + replicas)), 30)
    return cluster
  }

  get address(): string {
    return `redis+cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`)}`
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
        await redis.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...(keys as unknown as string[]))
      }
    })
    for (const server of [to, from, ...primaries.filter((one) => one !== to && one !== from)]) {
      await server.with((redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId)))
    }
  }

  /** Whether all nodes say that all slots are served, and replicas have their primaries. */
  async isWhole(nodes: number): Promise<boolean> {
    const alive = this.servers.filter(({ running }) => running)
    const infos = await Promise.all(alive.map((server) => server.with((redis) => redis.cluster('INFO'))))
    const whole = infos.every(
      (info) => /cluster_state:ok/.test(info) && Number(/cluster_known_nodes:(\d+)/.exec(info)?.[1]) >= nodes,
    )
    if (!whole) return false
    const roles = await Promise.all(alive.map((server) => server.with((redis) => redis.role())))
    return roles.every((role) => role[0] !== 'slave' || role[3] === 'connected')
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()))
  }

  #ranges() {
    return this.#any().with((redis) => redis.cluster('SLOTS'))
  }

  #any(): RedisServer {
    const server = this.servers.find(({ running }) => running)
    if (!server) throw new Error('no node runs')
    return server
  }

  #at(port: number | undefined): RedisServer {
    const server = this.servers.find((one) => one.port === port)
    if (!server) throw new Error(`no node at ${port}`)
    return server
  }
}
