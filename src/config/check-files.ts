import { accessSync, constants, statSync } from 'node:fs'
import { readClientTls } from '../access/client-tls.js'
import { AccessFileError } from '../access/files.js'
import { readHeaders } from '../access/headers.js'
import { readPassword } from '../store/redis/access.js'
import { parseRedisAddress } from '../store/redis/address.js'
import type { AgentConfig } from './config.js'
import { ConfigError } from './document.js'
import type { ConfigKey } from './schema.js'
import { placeOf, sourceName } from './sources.js'

/** Checks that the files that keys name can be used, and will be. Throws ConfigError. Blocks. */
export function checkFiles(config: AgentConfig): void {
  checkTls(config)
  checkRedis(config)
  checkTraces(config)
}

function checkTls(config: AgentConfig): void {
  const { tls } = config
  if (!tls) return
  const keys = [
    ['tls.ca_cert', tls.caCert],
    ['tls.cert_file', tls.certFile],
    ['tls.key_file', tls.keyFile],
  ] as const
  for (const [key, path] of keys) {
    try {
      accessSync(path, constants.R_OK)
      if (statSync(path).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ConfigError(
        `${placeOf(config, key)}: ${JSON.stringify(path)} is not allowed; allowed: a PEM file that the agent can read (${code})`,
      )
    }
  }
}

/** Refuses keys that the address would not use: data would go out unencrypted, or a password would be in vain. */
function checkRedis(config: AgentConfig): void {
  const { store } = config
  if (store.kind !== 'redis' || !store.access) return
  const { passwordFile, sentinelUser: _, sentinelPasswordFile, ...tls } = store.access
  const { kind, tls: isTls, credentials } = parseRedisAddress(store.address)
  const refuse = (place: string, problem: string) => {
    throw new ConfigError(`${place}: ${problem}`)
  }
  if (!isTls && Object.keys(tls).length > 0)
    refuse(
      `${sourceName(config)}: redis`,
      'redis_addr is without TLS; write rediss:// there, or leave the keys for TLS out',
    )
  if (passwordFile && credentials.password)
    refuse(
      placeOf(config, 'redis.password_file'),
      'redis_addr contains a password, too; leave it out there, as in redis://user:@host',
    )
  if (sentinelPasswordFile && kind !== 'sentinel')
    refuse(
      placeOf(config, 'redis.sentinel_password_file'),
      'redis_addr names no Sentinels; write redis+sentinel:// there, or leave it out',
    )
  readable(config, 'redis', () => {
    readClientTls(tls)
    if (passwordFile) readPassword('password_file', passwordFile)
    if (sentinelPasswordFile) readPassword('sentinel_password_file', sentinelPasswordFile)
  })
}

function checkTraces(config: AgentConfig): void {
  if (!config.traces) return
  const { endpoint, headersFile, ...tls } = config.traces
  if (endpoint.startsWith('http:') && Object.keys(tls).length > 0)
    throw new ConfigError(
      `${sourceName(config)}: traces: endpoint is without TLS; write https:// there, or leave the keys for TLS out`,
    )
  readable(config, 'traces', () => {
    readClientTls(tls)
    if (headersFile !== undefined) readHeaders(headersFile)
  })
}

/** Says which key of a section names a file that cannot be used. */
function readable(config: AgentConfig, section: 'redis' | 'traces', read: () => void): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof AccessFileError)) throw error
    throw new ConfigError(`${placeOf(config, `${section}.${error.key}` as ConfigKey)}: ${error.message}`)
  }
}
