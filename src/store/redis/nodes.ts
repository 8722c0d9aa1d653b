import type { NodesListener, StoreUnavailable } from '../store.js'
import type { Keys } from './keys.js'
import type { Sender } from './pipeline.js'

/** Where a store is: one Redis, or the nodes of a cluster. Errors, those of replies too, are StoreUnavailable. */
export interface RedisNodes extends Sender {
  /** For messages: without user and password. */
  readonly address: string
  readonly keys: Keys
  /** Whether two commands on the same keys may meet different nodes. */
  readonly spread: boolean
  /**
   * Resolves once the first attempt to connect has ended, so that a command sent right after opening is not rejected.
   */
  readonly firstContact: Promise<void>
  /** The name of the node that has the key; '' where there is only one, or it is not known. */
  nodeOf(key: string): string
  /** See Store.watchNodes. */
  watch(listener: NodesListener): void
  /** Which Redis has acknowledged the last writes for that key; undefined where no other can take over from it. */
  primaryOf(key: string): string | undefined
  /** Is told when another may have taken over. */
  watchPrimaries(listener: () => void): void
  /** Whether what is sent now for that key reaches a Redis. */
  isReady(key: string): boolean
  /** Resolves once it is, or after `limitMs`. */
  ready(key: string, limitMs: number): Promise<void>
  /** The error where the node of that key has not answered for so long. */
  silent(key: string, limitMs: number): StoreUnavailable
  /** Call when a batch of writes was accepted. */
  wrote(): void
  /** One for each node that holds keys, which answers for that node alone. */
  each(): Promise<readonly Sender[]>
  close(): void
}
