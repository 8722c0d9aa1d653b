import type { ClientTls } from '../../access/client-tls.js'
import { AccessFileError, readAccessFile } from '../../access/files.js'

/** How the agent is let in to Redis, beside its address. Paths are absolute. */
export interface RedisAccess extends ClientTls {
  /** The name in Redis' certificate, where it is not the host of the address. */
  readonly serverName?: string
  /** Contains the password for Redis, on one line. */
  readonly passwordFile?: string
  /** The agent's user at the Sentinels; absent: the default one. */
  readonly sentinelUser?: string
  /** Contains the password for the Sentinels, on one line. */
  readonly sentinelPasswordFile?: string
}

/** The password in a file, without the line break at its end. Blocks. Throws AccessFileError. */
export function readPassword(key: 'password_file' | 'sentinel_password_file', file: string): string {
  const password = readAccessFile(key, file)
    .toString()
    .replace(/\r?\n$/, '')
  if (password === '') throw new AccessFileError(key, `${file} is empty; it contains the password, on one line`)
  if (/[\p{Cc}\ufffd]/u.test(password))
    throw new AccessFileError(key, `${file} contains more than a password on one line, in UTF-8`)
  return password
}

/**
 * Reads the password of a file for each connection, so that a renewed one takes effect. A file that has become unusable
 * leaves the last one in use. Throws AccessFileError at once where it is unusable already.
 */
export function passwordReader(key: 'password_file' | 'sentinel_password_file', file: string): () => string {
  let password = readPassword(key, file)
  return () => {
    try {
      password = readPassword(key, file)
    } catch {}
    return password
  }
}
