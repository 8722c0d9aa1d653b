import { setTimeout as sleep } from 'node:timers/promises'
import { StoreUnavailable } from '../store.js'
import type { RedisConnection } from './connection.js'
import { mostAnswers } from './most-answers.js'
import type { RedisCommand } from './pipeline.js'
import { explained, sendTo } from './replies.js'
import { CLUSTER_SLOTS, type NodePlace, Topology } from './topology.js'

/** For each node. */
const ANSWER_LIMIT_MS = 500
/** For the others, once one has answered. */
export const GRACE_MS = 250

const CLUSTER_INFO: RedisCommand = { name: 'cluster', keys: [], args: ['INFO'] }

/** Where the slots are, as one node says. */
export interface ClusterView {
  readonly topology: Topology
  /**
   * Counts failovers and moves of slots: of two views, the one with the higher epoch is the newer (Redis Cluster
   * specification, "Cluster current epoch"). 0: not told.
   */
  readonly epoch: number
}

export interface Views {
  readonly views: readonly ClusterView[]
  /** Why one of them has not answered. */
  readonly problem: StoreUnavailable | undefined
}

export interface AskedNode {
  readonly place: NodePlace
  readonly connection: RedisConnection
}

/**
 * What the nodes say, asked all at once: one of them may stand still, or be cut off from the others with what was true
 * before. Without those that know of no slots, since they have just been taken out of their cluster, or are in none yet.
 */
export async function viewsOf(nodes: readonly AskedNode[]): Promise<Views> {
  const asked = nodes.map((node) => Promise.race([viewOf(node), silence(node)]))
  const answers = await mostAnswers(asked, isView, GRACE_MS)
  return { views: answers.filter(isView), problem: answers.find((answer) => answer instanceof StoreUnavailable) }
}

function isView(answer: ClusterView | StoreUnavailable): answer is ClusterView {
  return !(answer instanceof StoreUnavailable) && answer.topology.primaries.size > 0
}

export function newestOf(views: readonly ClusterView[]): ClusterView | undefined {
  return views.toSorted((one, other) => other.epoch - one.epoch)[0]
}

async function viewOf({ connection, place }: AskedNode): Promise<ClusterView | StoreUnavailable> {
  try {
    const [slots, info] = explained(connection, await sendTo(connection, [CLUSTER_SLOTS, CLUSTER_INFO]))
    if (slots?.[0]) throw slots[0]
    const epoch = Number(/^cluster_current_epoch:(\d+)/m.exec(String(info?.[1]))?.[1] ?? 0)
    return { topology: Topology.read(slots?.[1], place.host), epoch }
  } catch (error) {
    return error instanceof StoreUnavailable ? error : connection.unavailable(error)
  }
}

async function silence({ connection }: AskedNode): Promise<StoreUnavailable> {
  await sleep(ANSWER_LIMIT_MS, undefined, { ref: false })
  return connection.unavailable(new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`))
}
