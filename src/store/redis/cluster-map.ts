import { setTimeout as sleep } from 'node:timers/promises'
import { type NodesListener, StoreUnavailable } from '../store.js'
import type { RedisAccess } from './access.js'
import type { ClusterAddress } from './address.js'
import { RedisConnection } from './connection.js'
import { explained, sendTo } from './replies.js'
import { SLOTS } from './slots.js'
import { CLUSTER_SLOTS, type NodePlace, nameOf, Topology } from './topology.js'

/** How often the nodes are asked where the slots are, while one is away or silent. */
const LOOK_MS = 500

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
  /** Why the last node that was asked did not say where the slots are. */
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
    const contacts = [...this.#nodes.values()].map(({ connection }) =>
      connection.firstContact.then(() => (connection.isReady ? undefined : Promise.reject(new Error('no answer')))),
    )
    await Promise.any(contacts).catch(() => undefined)
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
    // Another one each time: one may be cut off from the others, or stand still.
    const turns = [...ready.slice(this.#turn++ % ready.length), ...ready].slice(0, ready.length)
    for (const { connection, place } of turns) {
      const answer = await Promise.race([this.#slotsOf(connection, place), sleep(LOOK_MS, undefined, { ref: false })])
      if (!answer) continue
      // A node that has just been taken out of its cluster, or is in none yet, knows of no slots.
      if (answer.primaries.size > 0) return this.#adopt(answer)
      this.#problem = this.#unserved()
    }
  }

  async #slotsOf(connection: RedisConnection, { host }: NodePlace): Promise<Topology | undefined> {
    try {
      const [reply] = explained(connection, await sendTo(connection, [CLUSTER_SLOTS]))
      if (reply?.[0]) throw reply[0]
      return Topology.read(reply?.[1], host)
    } catch (error) {
      this.#problem = error instanceof StoreUnavailable ? error : connection.unavailable(error)
      return undefined
    }
  }

  #adopt(topology: Topology): void {
    if (this.#closed) return
    this.#topology = topology
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
