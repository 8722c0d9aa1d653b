import type { RedisTls } from './redis/tls.js'
import type { Store } from './store.js'

/** Which store, as configured. */
export type StoreLocation =
  /** A Redis URL, `host:port`, `rediss://` or the path of a socket. */
  | { readonly kind: 'redis'; readonly address: string; readonly tls?: RedisTls }
  /** A folder for LMDB. */
  | { readonly kind: 'embedded'; readonly path: string }

/**
 * Opens the store of that location. Redis connects in the background: methods reject while it does not answer.
 * Rejects where the address is none, or the folder cannot be made or opened.
 */
export async function openStore(location: StoreLocation): Promise<Store> {
  // Each thread loads the client of the one it has, and not of the other: they are the largest there are.
  if (location.kind === 'redis')
    return new (await import('./redis/redis-store.js')).RedisStore(location.address, location.tls)
  return new (await import('./embedded/embedded-store.js')).EmbeddedStore(location.path)
}
