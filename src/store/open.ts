import type { Store } from './store.js'

/** Which store, as configured. */
export type StoreLocation =
  /** A Redis URL, `host:port`, `rediss://` or the path of a socket. */
  | { readonly kind: 'redis'; readonly address: string }
  /** A folder for LMDB. */
  | { readonly kind: 'embedded'; readonly path: string }

/** Opens the store of that location. Redis connects in the background: methods reject until it answers. */
export function openStore(_location: StoreLocation): Store {
  throw new Error('not built yet')
}
