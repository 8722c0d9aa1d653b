import { type NodesListener, StoreUnavailable } from '../store.js'
import type { RedisAccess } from './access.js'
import type { ClusterAddress } from './address.js'
import { type ClusterView, GRACE_MS, newestOf, viewsOf } from './cluster-view.js'
import { RedisConnection } from './connection.js'
import { mostAnswers } from './most-answers.js'
import { SLOTS } from './slots.js'
import { type NodePlace, nameOf, type Topology } from './topology.js'

/** How often the nodes are asked where the slots are, while one is away or silent. */
const LOOK_MS = 500
/** How many nodes are asked at once; a cluster may have a hundred. */
const MOST_ASKED = 5
/**
 * How long the primaries have to be out of reach before what an older view says is believed. By then a primary that was
 * replaced, and is cut off from the others, takes no more writes: cluster-node-timeout, by default 15 s.
 */
const FORGET_MS = 30_000

export interface ClusterNode {
  readonly place: NodePlace
  readonly connection: RedisConnection
  /** Bytes it had sent when that was last looked at. */
  heardBytes: number
}

/** Where the slots of a cluster are: a connection to each primary, and what they say. Used on the thread that made it. */
export class ClusterMap {
  /** Resolves once the first attempts to connect have ended. */
  readonly firstContact: Promise<void>
  /** By name. Primaries, and until one answers the nodes of the address. */
  readonly #nodes = new Map<string, ClusterNode>()
  #topology: Topology | undefined
  /** Of the topology. */
  #epoch = 0
  /** When a primary of the topology was connected last. */
  #reachedAt = performance.now()
  /** Why the nodes that were asked last did not say where the slots are. */
  #problem: StoreUnavailable | undefined
  #looking: Promise<void> | undefined
  readonly #listeners: NodesListener[] = []
  #closed = false
  readonly #timer: NodeJS.Timeout
  #turn = 0

  /** Throws AccessFileError. */
  constructor(
    private readonly given: ClusterAddress,
    private readonly access: RedisAccess,
  ) {
    this.#connectToSeeds()
    this.firstContact = this.#meet()
    this.#timer = setInterval(() => this.#watch(), LOOK_MS)
    this.#timer.unref()
  }

  /** Whether a node has said where the slots are. */
  get isKnown(): boolean {
    return this.#topology !== undefined
  }

  /** Of the primaries. */
  get places(): readonly NodePlace[] {
    return [...(this.#topology?.primaries.values() ?? [])]
  }

  get connections(): readonly RedisConnection[] {
    return [...this.#nodes.values()].map(({ connection }) => connection)
  }

  /** Why each primary that does not answer is away. */
  get away(): readonly StoreUnavailable[] {
    return this.places
      .map((place) => this.node(place).connection)
      .filter(({ isReady }) => !isReady)
      .map((connection) => connection.unavailable(undefined))
  }

  /** Slots that no node has, as ranges: `0-5460`. */
  get unservedSlots(): readonly string[] {
    const served = this.#topology?.ranges() ?? []
    const gaps = [...served, [SLOTS, SLOTS, ''] as const].map(([from], at) => [
      (served[at - 1]?.[1] ?? -1) + 1,
      from - 1,
    ])
    return gaps
      .filter(([from = 0, to = 0]) => from <= to)
      .map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
  }

  get closed(): boolean {
    return this.#closed
  }

  /** See Store.watchNodes. */
  watch(listener: NodesListener): void {
    this.#listeners.push(listener)
    if (this.#topology) listener(this.#topology.ranges())
  }

  /** The name of the node that has the slot; '' where that is not known. */
  nameOf(slot: number): string {
    return this.#topology?.ownerOf(slot) ?? ''
  }

  /** The primary of the slot; undefined where there is none, or none is known. */
  nodeOf(slot: number): ClusterNode | undefined {
    const owner = this.#topology?.ownerOf(slot)
    const place = owner === undefined ? undefined : this.#topology?.primaries.get(owner)
    return place && this.node(place)
  }

  /** A node has said that the slot is at another. */
  move(slot: number, place: NodePlace): void {
    this.#topology?.move(slot, place)
  }

  /** Connects, where that has not been done. */
  node(place: NodePlace): ClusterNode {
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

  /** Asks a node where the slots are, unless that is being asked already. */
  look(): Promise<void> {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** Why there is no node for a slot. */
  unknown(): StoreUnavailable {
    if (this.#topology) return this.#unserved()
    return (
      this.#problem ??
      new StoreUnavailable(`Redis Cluster at ${this.given.display}: no node has answered yet`, {
        fix: 'start it, or correct redis_addr',
      })
    )
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    for (const connection of this.connections) connection.close()
  }

  #connectToSeeds(): void {
    for (const place of this.given.nodes) this.node(place)
  }

  async #meet(): Promise<void> {
    const contacts = this.connections.map((one) => one.firstContact.then(() => one.isReady))
    await mostAnswers(contacts, (isReady) => isReady, GRACE_MS)
    await this.look()
    await Promise.all(this.places.map((place) => this.node(place).connection.firstContact))
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
    if (this.places.some((place) => this.node(place).connection.isReady)) this.#reachedAt = performance.now()
    // Others each time.
    const from = this.#turn++ % ready.length
    const asked = [...ready.slice(from), ...ready.slice(0, from)].slice(0, MOST_ASKED)
    const { views, problem } = await viewsOf(asked)
    const newest = newestOf(views)
    if (!newest) this.#problem = problem ?? this.#unserved()
    else if (newest.epoch >= this.#epoch || this.#isReset(views.length)) this.#adopt(newest)
  }

  /** Whether a cluster that so many nodes describe, all with an older epoch than the known one, has begun anew. */
  #isReset(views: number): boolean {
    const isMost = views > Math.min(MOST_ASKED, this.#nodes.size) / 2
    return isMost || performance.now() - this.#reachedAt > FORGET_MS
  }

  #adopt({ topology, epoch }: ClusterView): void {
    if (this.#closed) return
    this.#topology = topology
    this.#epoch = epoch
    this.#problem = undefined
    for (const listener of this.#listeners) listener(topology.ranges())
    for (const place of topology.primaries.values()) this.node(place)
    for (const [name, { connection }] of this.#nodes) {
      if (topology.primaries.has(name)) continue
      // What it has not answered is sent to the new primary. One that stood still would acknowledge it once it goes on,
      // before it knows that it was replaced, and lose it.
      this.#nodes.delete(name)
      connection.abandon()
    }
  }

  #watch(): void {
    const away = [...this.#nodes.values()].filter((node) => !isAnswering(node))
    if (away.length > 0 || !this.#topology) void this.look()
  }

  #unserved(): StoreUnavailable {
    return new StoreUnavailable(`Redis Cluster at ${this.given.display}: no node has some of the slots`, {
      fix: 'redis-cli --cluster check says which, and --cluster fix gives them to one',
    })
  }
}

/** Whether nothing is due from it, or something has come since the last call. */
function isAnswering(node: ClusterNode): boolean {
  const { isReady, redis } = node.connection
  if (!isReady) return false
  const heard = redis.stream.bytesRead
  const moved = heard !== node.heardBytes
  node.heardBytes = heard
  return moved || redis.commandQueue.length === 0
}
