import type { SlotRange } from '../store.js'
import { hashTag, SLOTS, slotOf, tagOf } from './slots.js'

/** What the keys of executions are called. */
export interface Keys {
  record(id: string): string
  output(id: string): string
  /** A hash from the start to the end of each gap in the output. Exists only where something was lost. */
  gaps(id: string): string
  /** A set of ids that run on the agent; this one's is in it. */
  running(agentId: string, id: string): string
  /** Every set of ids that run on the agent. */
  allRunning(agentId: string): readonly string[]
}

const RUNNING_PREFIX = 'flux-agent:running:'
const GAPS_PREFIX = 'flux:exec-gaps:'
const CLUSTER_GAPS_PREFIX = 'flux-agent:gaps:'

/** The control plane reads it, so it is the same everywhere. */
const record = (id: string) => `flux:exec:${id}`

/** Of a Redis that is no cluster. */
export const PLAIN_KEYS: Keys = {
  record,
  // Not below the record's key: an id may contain any printable character, so `flux:exec:{id}:output` could be another
  // id's record.
  output: (id) => `flux:exec-output:${id}`,
  gaps: (id) => GAPS_PREFIX + id,
  running: (agentId) => RUNNING_PREFIX + agentId,
  allRunning: (agentId) => [RUNNING_PREFIX + agentId],
}

/**
 * Of a Redis Cluster: all keys of an execution are in its record's slot, so that a script may change them together. So
 * there is a set of running ids for each slot: a node that is away holds up none of the others' executions.
 */
export const CLUSTER_KEYS: Keys = {
  record,
  output: (id) => besideRecord('flux-agent:output:', id),
  gaps: (id) => besideRecord(CLUSTER_GAPS_PREFIX, id),
  running: (agentId, id) => runningIn(slotOf(record(id)), agentId),
  allRunning: (agentId) => Array.from({ length: SLOTS }, (_, slot) => runningIn(slot, agentId)),
}

/** The node that has the slot of an id's record; '' where that is not known. */
export function nodeIn(nodes: readonly SlotRange[], id: string): string {
  if (nodes.length === 0) return ''
  const slot = slotOf(record(id))
  return nodes.find(([from, to]) => from <= slot && slot <= to)?.[2] ?? ''
}

/** The type that a key of the agent's has. */
export function typeOf(key: string): 'string' | 'set' | 'hash' {
  if (key.startsWith(RUNNING_PREFIX)) return 'set'
  return key.startsWith(GAPS_PREFIX) || key.startsWith(CLUSTER_GAPS_PREFIX) ? 'hash' : 'string'
}

const runningIn = (slot: number, agentId: string) => `${RUNNING_PREFIX}{${tagOf(slot)}}:${agentId}`

/** A key in the slot of the id's record. */
function besideRecord(prefix: string, id: string): string {
  const key = record(id)
  if (!/[{}]/.test(id)) return `${prefix}{${key}}`
  if (hashTag(key) !== undefined) return prefix + key
  return `${prefix}{${tagOf(slotOf(key))}}:${key}`
}
