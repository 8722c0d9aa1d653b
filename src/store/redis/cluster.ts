import { setTimeout as sleep } from 'node:timers/promises'
import { type NodesListener, StoreUnavailable } from '../store.js'
import type { RedisAccess } from './access.js'
import type { ClusterAddress } from './address.js'
import { RedisConnection } from './connection.js'
import { CLUSTER_KEYS } from './keys.js'
import type { RedisNodes } from './nodes.js'
import type { RedisCommand, Reply, Sender } from './pipeline.js'
import { explained, sendTo } from './replies.js'
import { slotOf } from './slots.js'
import { type NodePlace, nameOf, redirection, Topology } from './topology.js'

/** How often one command is sent elsewhere, or again, before its last answer counts. */
const MOST_HOPS = 16
/** The first and the longest wait before a command of a slot on the move is sent again. */
const FIRST_WAIT_MS = 10
const LONGEST_WAIT_MS = 100
/** How often the nodes are asked where the slots are, while one is away or silent. */
const LOOK_MS = 500

interface Node {
  readonly place: NodePlace
  readonly connection: RedisConnection
  /** Bytes it had sent when that was last looked at. */
  heardBytes: number
}

/** A command on its way: its place in the batch, and the node that it was told to ask. */
interface Sent {
  readonly index: number
  readonly slot: number
  readonly asked?: NodePlace
}

/**
 * The nodes of a Redis Cluster: a connection to each primary, on which the commands of its slots go, those of one slot in
 * their order. Not ioredis' Cluster: that sends a whole pipeline again, or refuses it, where one of its commands is told
 * to go elsewhere (ioredis#2075), and takes a node without an answer for one that is slow. Used on the thread that made
 * it.
 */
export class ClusterNodes implements RedisNodes {
  readonly keys = CLUSTER_KEYS
  readonly address: string
  readonly firstContact: Promise<void>
  readonly #seeds: readonly NodePlace[]
  /** By name. Primaries, and until one answers the nodes of the address. */
  readonly #nodes = new Map<string, Node>()
  #topology: Topology | undefined
  /** Why the last node that was asked did not say where the slots are. */
  #problem: StoreUnavailable | undefined
  #looking: Promise<void> | undefined
  readonly #listeners: NodesListener[] = []
  #closed = false
  readonly #timer: NodeJS.Timeout
  #turn = 0

  /** Throws RedisFileError. */
  constructor(
    private readonly given: ClusterAddress,
    private readonly access: RedisAccess,
  ) {
    this.address = given.display
    this.#seeds = given.nodes
    this.#connectToSeeds()
    this.firstContact = this.#meet()
    this.#timer = setInterval(() => this.#watch(), LOOK_MS)
    this.#timer.unref()
  }

  nodeOf(key: string): string {
    return this.#topology?.ownerOf(slotOf(key)) ?? ''
  }

  watch(listener: NodesListener): void {
    this.#listeners.push(listener)
    if (this.#topology) listener(this.#topology.ranges())
  }

  isReady(key: string): boolean {
    return this.#nodeOf(slotOf(key))?.connection.isReady ?? false
  }

  async ready(key: string, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs
    await this.#look()
    await this.#nodeOf(slotOf(key))?.connection.ready(end - performance.now())
  }

  silent(key: string, limitMs: number): StoreUnavailable {
    const error = new Error(`no answer within ${limitMs / 1000} s`)
    return this.#nodeOf(slotOf(key))?.connection.unavailable(error) ?? this.#unknown()
  }

  wrote(): void {
    for (const { connection } of this.#nodes.values()) connection.wrote()
  }

  async each(): Promise<readonly Sender[]> {
    if (!this.#topology) await this.#look()
    const { primaries } = this.#topology ?? {}
    if (!primaries) throw this.#unknown()
    return [...primaries.values()].map((place) => {
      const { connection } = this.#node(place)
      return { send: async (commands) => explained(connection, await sendTo(connection, commands)) }
    })
  }

  async send(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    if (!this.#topology) await this.#look()
    const replies: Reply[] = new Array(commands.length)
    const all = commands.map(({ keys }, index): Sent => ({ index, slot: slotOf(keys[0] ?? '') }))
    await this.#deliver(commands, all, replies, 0)
    return replies
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    for (const { connection } of this.#nodes.values()) connection.close()
  }

  /** Sends each to its node; nodes do not wait for each other. */
  async #deliver(
    commands: readonly RedisCommand[],
    sent: readonly Sent[],
    replies: Reply[],
    hops: number,
  ): Promise<void> {
    const parts = new Map<string, { node: Node | undefined; asking: boolean; sent: Sent[] }>()
    for (const one of sent) {
      const node = one.asked ? this.#node(one.asked) : this.#nodeOf(one.slot)
      const name = `${one.asked ? 'ask ' : ''}${node && nameOf(node.place)}`
      const part = parts.get(name)
      if (part) part.sent.push(one)
      else parts.set(name, { node, asking: one.asked !== undefined, sent: [one] })
    }
    await Promise.all(
      [...parts.values()].map(async ({ node, asking, sent }) => {
        const again = await this.#deliverTo(node, asking, commands, sent, replies, hops)
        if (again.length === 0) return
        await this.#deliver(commands, again, replies, hops + 1)
      }),
    )
  }

  /** Answers what has to be sent again. */
  async #deliverTo(
    node: Node | undefined,
    asking: boolean,
    commands: readonly RedisCommand[],
    sent: readonly Sent[],
    replies: Reply[],
    hops: number,
  ): Promise<readonly Sent[]> {
    const failed = (error: StoreUnavailable) => {
      for (const { index } of sent) replies[index] = [error, undefined]
      void this.#look()
      return []
    }
    if (!node) return failed(this.#unknown())
    const { connection, place } = node
    let raw: readonly Reply[]
    try {
      const own = sent.map(({ index }) => commands[index] as RedisCommand)
      raw = await sendTo(connection, own, asking)
    } catch (error) {
      return failed(connection.unavailable(error))
    }
    const answers = explained(connection, raw)
    const again: Sent[] = []
    // Slots of which a command has to be sent again. Later ones have run without its effect, so they have to follow it.
    const slots = new Set<number>()
    let waits = false
    for (const [at, one] of sent.entries()) {
      const error = raw[at]?.[0]
      const led = error && redirection(error, place.host)
      // TRYAGAIN: of the keys of a script some are there, and others are here.
      const moving = error && (led !== undefined || error.message.startsWith('TRYAGAIN'))
      if (moving) {
        slots.add(one.slot)
        if (led?.kind === 'MOVED') this.#topology?.move(one.slot, led.place)
        waits ||= led === undefined
      } else if (error && !slots.has(one.slot)) {
        void this.#look()
      }
      replies[one.index] = answers[at] as Reply
      if (slots.has(one.slot))
        again.push({ index: one.index, slot: one.slot, ...(led?.kind === 'ASK' && { asked: led.place }) })
    }
    if (again.length === 0 || hops >= MOST_HOPS || this.#closed) return []
    if (waits || hops > 2) await sleep(Math.min(FIRST_WAIT_MS * 2 ** hops, LONGEST_WAIT_MS))
    if (hops > 0) void this.#look()
    return again
  }

  #nodeOf(slot: number): Node | undefined {
    const owner = this.#topology?.ownerOf(slot)
    const place = owner === undefined ? undefined : this.#topology?.primaries.get(owner)
    return place && this.#node(place)
  }

  #node(place: NodePlace): Node {
    const name = nameOf(place)
    const known = this.#nodes.get(name)
    if (known) return known
    const { tls, credentials, family } = this.given
    const scheme = tls ? 'rediss' : 'redis'
    const connection = new RedisConnection(
      {
        kind: 'single',
        display: `${scheme}://${name}`,
        tls,
        credentials,
        connection: { ...place, db: 0, ...(family !== undefined && { family }) },
      },
      this.access,
      true,
    )
    const node = { place, connection, heardBytes: 0 }
    this.#nodes.set(name, node)
    return node
  }

  #connectToSeeds(): void {
    for (const place of this.#seeds) this.#node(place)
  }

  async #meet(): Promise<void> {
    const contacts = [...this.#nodes.values()].map(({ connection }) =>
      connection.firstContact.then(() => (connection.isReady ? undefined : Promise.reject(new Error('no answer')))),
    )
    await Promise.any(contacts).catch(() => undefined)
    await this.#look()
    const primaries = [...(this.#topology?.primaries.values() ?? [])]
    await Promise.all(primaries.map((place) => this.#node(place).connection.firstContact))
  }

  /** Asks a node where the slots are, unless that is being asked already. */
  #look(): Promise<void> {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #ask(): Promise<void> {
    const ready = [...this.#nodes.values()].filter(({ connection }) => connection.isReady)
    if (ready.length === 0) {
      // All may have moved.
      this.#connectToSeeds()
      const [first] = this.#nodes.values()
      if (!this.#topology) this.#problem = first?.connection.unavailable(undefined)
      return
    }
    // Another one each time: one may be cut off from the others, or stand still.
    const turns = [...ready.slice(this.#turn++ % ready.length), ...ready].slice(0, ready.length)
    for (const { connection, place } of turns) {
      const answer = await Promise.race([this.#slotsOf(connection, place), sleep(LOOK_MS, undefined, { ref: false })])
      if (!answer) continue
      this.#adopt(answer)
      return
    }
  }

  async #slotsOf(connection: RedisConnection, { host }: NodePlace): Promise<Topology | undefined> {
    try {
      const command = { name: 'cluster', keys: [], args: ['SLOTS'] }
      const [reply] = explained(connection, await sendTo(connection, [command]))
      if (reply?.[0]) throw reply[0]
      return Topology.read(reply?.[1], host)
    } catch (error) {
      this.#problem = error instanceof StoreUnavailable ? error : connection.unavailable(error)
      return undefined
    }
  }

  #adopt(topology: Topology): void {
    if (this.#closed || topology.primaries.size === 0) return
    this.#topology = topology
    this.#problem = undefined
    for (const listener of this.#listeners) listener(topology.ranges())
    for (const place of topology.primaries.values()) this.#node(place)
    for (const [name, { connection }] of this.#nodes) {
      if (topology.primaries.has(name)) continue
      // What it has not answered is sent to the new primary: whatever it still does is lost with its role.
      this.#nodes.delete(name)
      connection.close()
    }
  }

  #watch(): void {
    const away = [...this.#nodes.values()].filter((node) => !isAnswering(node))
    if (away.length > 0 || !this.#topology) void this.#look()
  }

  #unknown(): StoreUnavailable {
    if (this.#topology) {
      return new StoreUnavailable(`Redis Cluster at ${this.address}: no node has some of the slots`, {
        fix: 'redis-cli --cluster check says which, and --cluster fix gives them to one',
      })
    }
    return (
      this.#problem ??
      new StoreUnavailable(`Redis Cluster at ${this.address}: no node has answered yet`, {
        fix: 'start it, or correct redis_addr',
      })
    )
  }
}

/** Whether nothing is due from it, or something has come since the last call. */
function isAnswering(node: Node): boolean {
  const { isReady, redis } = node.connection
  if (!isReady) return false
  const heard = redis.stream.bytesRead
  const moved = heard !== node.heardBytes
  node.heardBytes = heard
  return moved || redis.commandQueue.length === 0
}
