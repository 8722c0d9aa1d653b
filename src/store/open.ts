import { EmbeddedStore } from './embedded.js'
import { RedisStore } from './redis.js'
import type { Store } from './store.js'

/** Which store, as configured. */
export type StoreLocation =
  /** A Redis URL, `host:port`, `rediss://` or the path of a socket. */
  | { readonly kind: 'redis'; readonly address: string }
  /** A folder for LMDB. */
  | { readonly kind: 'embedded'; readonly path: string }

/**
 * Opens the store of that location. Redis connects in the background: methods reject while it does not answer.
 * Throws where the address is none, or the folder cannot be made or opened.
 */
export function openStore(location: StoreLocation): Store {
  return location.kind === 'redis' ? new RedisStore(location.address) : new EmbeddedStore(location.path)
}
