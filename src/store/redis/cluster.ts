import { setTimeout as sleep } from 'node:timers/promises'
import type { NodesListener, StoreUnavailable } from '../store.js'
import type { RedisAccess } from './access.js'
import type { ClusterAddress } from './address.js'
import { ClusterMap, type ClusterNode } from './cluster-map.js'
import { CLUSTER_KEYS } from './keys.js'
import type { RedisNodes } from './nodes.js'
import type { RedisCommand, Reply, Sender } from './pipeline.js'
import { explained, sendTo } from './replies.js'
import { slotOf } from './slots.js'
import { type NodePlace, nameOf, redirection } from './topology.js'

/** How often one command is sent elsewhere, or again, before its last answer counts. */
const MOST_HOPS = 16
/** The first and the longest wait before a command of a slot on the move is sent again. */
const FIRST_WAIT_MS = 10
const LONGEST_WAIT_MS = 100

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
  readonly spread = true
  readonly address: string
  readonly firstContact: Promise<void>
  readonly #map: ClusterMap

  /** Throws AccessFileError. */
  constructor(given: ClusterAddress, access: RedisAccess) {
    this.address = given.display
    this.#map = new ClusterMap(given, access)
    this.firstContact = this.#map.firstContact
  }

  nodeOf(key: string): string {
    return this.#map.nameOf(slotOf(key))
  }

  watch(listener: NodesListener): void {
    this.#map.watch(listener)
  }

  primaryOf(key: string): string {
    return this.nodeOf(key)
  }

  watchPrimaries(listener: () => void): void {
    this.#map.watch(listener)
  }

  isReady(key: string): boolean {
    return this.#map.nodeOf(slotOf(key))?.connection.isReady ?? false
  }

  async ready(key: string, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs
    await this.#map.look()
    await this.#map.nodeOf(slotOf(key))?.connection.ready(end - performance.now())
  }

  silent(key: string, limitMs: number): StoreUnavailable {
    const error = new Error(`no answer within ${limitMs / 1000} s`)
    return this.#map.nodeOf(slotOf(key))?.connection.unavailable(error) ?? this.#map.unknown()
  }

  wrote(): void {
    for (const connection of this.#map.connections) connection.wrote()
  }

  async each(): Promise<readonly Sender[]> {
    if (!this.#map.isKnown) await this.#map.look()
    if (!this.#map.isKnown) throw this.#map.unknown()
    return this.#map.places.map((place) => {
      const { connection } = this.#map.node(place)
      return { send: async (commands) => explained(connection, await sendTo(connection, commands)) }
    })
  }

  async send(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    if (!this.#map.isKnown) await this.#map.look()
    const replies: Reply[] = new Array(commands.length)
    const all = commands.map(({ keys }, index): Sent => ({ index, slot: slotOf(keys[0] ?? '') }))
    await this.#deliver(commands, all, replies, 0)
    return replies
  }

  close(): void {
    this.#map.close()
  }

  /** Sends each to its node; nodes do not wait for each other. */
  async #deliver(
    commands: readonly RedisCommand[],
    sent: readonly Sent[],
    replies: Reply[],
    hops: number,
  ): Promise<void> {
    const parts = new Map<string, { node: ClusterNode | undefined; asking: boolean; sent: Sent[] }>()
    for (const one of sent) {
      const node = one.asked ? this.#map.node(one.asked) : this.#map.nodeOf(one.slot)
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
    node: ClusterNode | undefined,
    asking: boolean,
    commands: readonly RedisCommand[],
    sent: readonly Sent[],
    replies: Reply[],
    hops: number,
  ): Promise<readonly Sent[]> {
    const failed = (error: StoreUnavailable) => {
      for (const { index } of sent) replies[index] = [error, undefined]
      void this.#map.look()
      return []
    }
    if (!node) return failed(this.#map.unknown())
    const { connection, place } = node
    let raw: readonly Reply[]
    try {
      const own = sent.map(({ index }) => commands[index] as RedisCommand)
      raw = await sendTo(connection, own, asking)
    } catch (error) {
      return failed(error as StoreUnavailable)
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
        if (led?.kind === 'MOVED') this.#map.move(one.slot, led.place)
        waits ||= led === undefined
      } else if (error && !slots.has(one.slot)) {
        void this.#map.look()
      }
      replies[one.index] = answers[at] as Reply
      if (slots.has(one.slot))
        again.push({ index: one.index, slot: one.slot, ...(led?.kind === 'ASK' && { asked: led.place }) })
    }
    if (again.length === 0 || hops >= MOST_HOPS || this.#map.closed) return []
    if (waits || hops > 2) await sleep(Math.min(FIRST_WAIT_MS * 2 ** hops, LONGEST_WAIT_MS))
    if (hops > 0) void this.#map.look()
    return again
  }
}
