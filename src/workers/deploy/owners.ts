import { type Access, accessFor } from '../../archive/access.js'
import { ArchiveRefused } from '../../archive/refused.js'
import type { CodePlaces, CodeVersion, FunctionUsers } from '../../threads/messages.js'
import { openCache } from './code-caches.js'
import { openUser, openUsers } from './function-users.js'

/** Whose a function's code is. */
export interface Owner {
  readonly access: Access
  /** The function's own user, where functions are separate. */
  readonly uid?: number
}

/** Whose a function's code is. Rejects with ArchiveRefused, and with the system's error. */
export async function ownerOf(users: FunctionUsers, name: string): Promise<Owner> {
  return users.kind === 'separate' ? ownCode(await openUser(users, name)) : { access: accessOf(users) }
}

/** As `ownerOf`, for many at once; answers why one has none. Rejects with the system's error. */
export async function ownersOf(
  users: FunctionUsers,
  names: readonly string[],
): Promise<Map<string, Owner | ArchiveRefused>> {
  if (users.kind !== 'separate') return new Map(names.map((name) => [name, { access: accessOf(users) }]))
  const opened = await openUsers(users, names)
  return new Map([...opened].map(([name, uid]) => [name, uid instanceof ArchiveRefused ? uid : ownCode(uid)]))
}

/** How the function of this user, and without one all functions, may use what the agent made. */
export function accessOf(users: FunctionUsers, uid?: number): Access {
  return accessFor(users.kind === 'agent' ? undefined : (uid ?? users.runAs.gid))
}

/** A version with its user and, where it gets one, its cache. Rejects with the system's error. */
export async function equipped(places: CodePlaces, version: CodeVersion, { uid }: Owner): Promise<CodeVersion> {
  const cacheDir = hasCaches(places) ? await openCache(places.cachesDir, version.dir, uid) : undefined
  return { ...version, ...(uid !== undefined && { uid }), ...(cacheDir !== undefined && { cacheDir }) }
}

/** Not where all functions are one user: each could put code into the others' caches. */
export function hasCaches({ users, codeCache }: CodePlaces): boolean {
  return codeCache && users.kind !== 'shared'
}

function ownCode(uid: number): Owner {
  return { access: accessFor(uid), uid }
}
