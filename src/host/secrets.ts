import { type Stats, statSync } from 'node:fs'
import type { AgentConfig } from '../config/config.js'
import type { RunAs } from '../os/platform.js'
import { mayReach, rightsOf } from './permissions.js'

/** A file by which the agent proves elsewhere who it is. */
export interface SecretFile {
  readonly kind: 'key' | 'password' | 'headers'
  /** Absolute. */
  readonly path: string
}

/** A secret that functions can read. */
export interface Exposure {
  readonly kind: 'config' | SecretFile['kind'] | 'state' | 'store'
  /** Absolute. */
  readonly path: string
  /** The command that closes it. */
  readonly fix: string
}

/**
 * The agent's files that the runner can read, judged by modes, including those of the folders above. Leaves out what
 * does not exist or cannot be seen by this process. Empty where functions run as the agent's own user. Blocks.
 */
export function exposedSecrets(config: AgentConfig, runAs: RunAs | undefined): Exposure[] {
  if (!runAs || runAs.uid === process.geteuid?.()) return []
  const { file, tls, stateDir, store } = config
  const secrets = [
    // The file may contain the password of Redis.
    ...(file ? [{ kind: 'config', path: file } as const] : []),
    ...(tls ? [{ kind: 'key', path: tls.keyFile } as const] : []),
    ...secretFiles(config),
    { kind: 'state', path: stateDir } as const,
    ...(store.kind === 'embedded' ? [{ kind: 'store', path: store.path } as const] : []),
  ]
  return secrets.flatMap(({ kind, path }) => {
    const found = look(path)
    if (!found || (rightsOf(runAs, found) & wanted(found)) === 0 || !mayReach(runAs, path)) return []
    const mode = `chmod ${found.isDirectory() ? '700' : '600'} ${path}`
    return [{ kind, path, fix: found.uid === runAs.uid ? `chown root ${path} && ${mode}` : mode }]
  })
}

/** Those for the store and the collector of spans. */
export function secretFiles({ store, traces }: AgentConfig): SecretFile[] {
  const access = (store.kind === 'redis' && store.access) || {}
  const files: readonly [SecretFile['kind'], string | undefined][] = [
    ['key', access.keyFile],
    ['password', access.passwordFile],
    ['password', access.sentinelPasswordFile],
    ['key', traces?.keyFile],
    ['headers', traces?.headersFile],
  ]
  return files.flatMap(([kind, path]) => (path === undefined ? [] : [{ kind, path }]))
}

/** The warnings about exposed secrets. */
export function exposureWarnings(config: AgentConfig, runAs: RunAs | undefined): string[] {
  return exposedSecrets(config, runAs).map(({ path, fix }) => `functions can read ${path}: ${fix}`)
}

/** A folder that can only be entered still gives access to files whose names are known. */
function wanted(found: Stats): number {
  return found.isDirectory() ? 0o7 : 0o6
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}
