import type { SlotRange } from '../store.js'
import type { RedisCommand } from './pipeline.js'
import { SLOTS } from './slots.js'

/** Topology.read understands its answer. */
export const CLUSTER_SLOTS: RedisCommand = { name: 'cluster', keys: [], args: ['SLOTS'] }

/** Where a node of a cluster is. */
export interface NodePlace {
  readonly host: string
  readonly port: number
}

export const nameOf = ({ host, port }: NodePlace) => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Which node is the primary of each slot. */
export class Topology {
  /** By name. */
  readonly primaries = new Map<string, NodePlace>()
  /** The name of each slot's primary. */
  readonly #owners: (string | undefined)[] = new Array(SLOTS)

  /** Undefined where no node has the slot. */
  ownerOf(slot: number): string | undefined {
    return this.#owners[slot]
  }

  /** Neighbouring slots of one node together. */
  ranges(): SlotRange[] {
    const ranges: [number, number, string][] = []
    for (const [slot, owner] of this.#owners.entries()) {
      const last = ranges.at(-1)
      if (owner === undefined) continue
      if (last?.[1] === slot - 1 && last[2] === owner) last[1] = slot
      else ranges.push([slot, slot, owner])
    }
    return ranges
  }

  /** A node has said that the slot is at another. */
  move(slot: number, place: NodePlace): void {
    const name = nameOf(place)
    this.primaries.set(name, place)
    this.#owners[slot] = name
  }

  /**
   * Reads the answer to CLUSTER SLOTS of a node at `host`: nodes that do not know their own host give none (Redis
   * documentation, "CLUSTER SLOTS"). Throws where it is no such answer.
   */
  static read(answer: unknown, host: string): Topology {
    const topology = new Topology()
    for (const range of answer as [number, number, [string | null, number]][]) {
      const [from, to, [named, port]] = range
      const place = { host: named || host, port }
      for (let slot = from; slot <= to; slot++) topology.#owners[slot] = nameOf(place)
      topology.primaries.set(nameOf(place), place)
    }
    return topology
  }
}

/** Where a MOVED or ASK of a node at `host` leads; undefined for other errors. */
export function redirection(error: Error, host: string): { kind: 'MOVED' | 'ASK'; place: NodePlace } | undefined {
  const [, kind, named, port] = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(error.message) ?? []
  if (kind === undefined) return undefined
  return { kind: kind as 'MOVED' | 'ASK', place: { host: named || host, port: Number(port) } }
}
