import { readFileSync } from 'node:fs'

/** How the agent is let in to Redis, beside its address. Paths are absolute. */
export interface RedisAccess {
  /** The authority that signed Redis' certificate; absent: the system's trusted ones. */
  readonly caCert?: string
  /** The certificate that the agent presents; needs `keyFile`. */
  readonly certFile?: string
  readonly keyFile?: string
  /** The name in Redis' certificate, where it is not the host of the address. */
  readonly serverName?: string
  /** Contains the password for Redis, on one line. */
  readonly passwordFile?: string
  /** Contains the password for the Sentinels, on one line. */
  readonly sentinelPasswordFile?: string
}

/** Why a file cannot be used. Names the file and never quotes its contents. */
export class RedisFileError extends Error {
  override readonly name = 'RedisFileError'
  readonly code = 'REDIS_FILE_INVALID'
  constructor(
    /** In the section `redis` of the configuration. */
    readonly key: 'ca_cert' | 'cert_file' | 'key_file' | 'password_file' | 'sentinel_password_file',
    message: string,
  ) {
    super(message)
  }
}

/** Blocks. Throws RedisFileError. */
export function readAccessFile(key: RedisFileError['key'], file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new RedisFileError(key, `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** The password in a file, without the line break at its end. Blocks. Throws RedisFileError. */
export function readPassword(key: 'password_file' | 'sentinel_password_file', file: string): string {
  const password = readAccessFile(key, file)
    .toString()
    .replace(/\r?\n$/, '')
  if (password === '') throw new RedisFileError(key, `${file} is empty; it contains the password, on one line`)
  if (/[\p{Cc}\ufffd]/u.test(password))
    throw new RedisFileError(key, `${file} contains more than a password on one line, in UTF-8`)
  return password
}

/**
 * Reads the password of a file for each connection, so that a renewed one takes effect. A file that has become unusable
 * leaves the last one in use. Throws RedisFileError at once where it is unusable already.
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
