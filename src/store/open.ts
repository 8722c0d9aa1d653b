import type { RedisAccess } from './redis/access.js'
import type { Store } from './store.js'

/** The configured store. */
export type StoreLocation =
  /** See parseRedisAddress. */
  | { readonly kind: 'redis'; readonly address: string; readonly access?: RedisAccess }
  /** A folder for LMDB; made where it is missing. */
  | { readonly kind: 'embedded'; readonly path: string }

/**
 * Opens the store. Redis connects in the background; methods reject until it answers. Rejects where the address is
 * invalid, or the folder cannot be made or opened. Any thread.
 */
export async function openStore(location: StoreLocation): Promise<Store> {
  // Loads only the client that is used: both are large.
  if (location.kind === 'redis')
    return new (await import('./redis/redis-store.js')).RedisStore(location.address, location.access)
  return new (await import('./embedded/embedded-store.js')).EmbeddedStore(location.path)
}
