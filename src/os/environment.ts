import type { StartRequest } from './platform.js'

/** All variables that a process gets. */
export function environmentOf({ env, ownEnv }: StartRequest): Record<string, string> {
  return { ...env, ...ownEnv }
}
