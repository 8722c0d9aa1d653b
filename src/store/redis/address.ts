import { isIPv6 } from 'node:net'
import {
  AddressError,
  type Credentials,
  type HostPort,
  type Options,
  readCredentials,
  readDatabase,
  readHost,
  readQuery,
  readTarget,
  type Target,
} from './address-parts.js'

export { AddressError, type Credentials, type HostPort } from './address-parts.js'

interface Common {
  /** For messages: without user and password. */
  readonly display: string
  /** Between the agent and every Redis, and every Sentinel, too. */
  readonly tls: boolean
  readonly credentials: Credentials
}

/** One Redis, or a proxy that looks like one. */
export interface SingleAddress extends Common {
  readonly kind: 'single'
  readonly connection:
    | { readonly host: string; readonly port: number; readonly db: number; readonly family?: number }
    | { readonly path: string; readonly db?: number }
}

/** Sentinels that know which Redis is the primary of that name. The credentials are for that one. */
export interface SentinelAddress extends Common {
  readonly kind: 'sentinel'
  readonly sentinels: readonly HostPort[]
  readonly name: string
  readonly db: number
  readonly family?: number
}

/** Some nodes of a Redis Cluster, which name the others. */
export interface ClusterAddress extends Common {
  readonly kind: 'cluster'
  readonly nodes: readonly HostPort[]
  readonly family?: number
}

/** A parsed Redis address. */
export type RedisAddress = SingleAddress | SentinelAddress | ClusterAddress

const REDIS_PORT = 6379
const SENTINEL_PORT = 26_379
/** Bytes of sun_path without its NUL (unix(7)). */
const MAX_SOCKET_PATH = 107

/**
 * Parses `redis://[user:password@]host[:port][/db]`, the same without a scheme, a bare host, the path of a socket, and
 * `unix://[user:password@]/path`; `redis+sentinel://[user:password@]host[:port][,host[:port]...]/NAME[/db]`, and
 * `redis+cluster://[user:password@]host[:port][,host[:port]...]`. TLS: `rediss://`, `rediss+sentinel://` and
 * `rediss+cluster://`. `?family=4` or `6` selects among a host's addresses, `?db=1` a database. User and password extend
 * to the last `@`; `%40` in them stands for `@`, and a percent sign without two hexadecimal digits for itself. Throws
 * AddressError.
 */
export function parseRedisAddress(address: string): RedisAddress {
  const text = address.trim()
  if (text === '') throw new AddressError('the address is empty')
  if (/[\s\p{C}]/u.test(text))
    throw new AddressError('a space or control character: in a password, write %20 for a space')
  if (/^["'`]|["'`]$/.test(text)) throw new AddressError('quotes are part of it: leave them out')
  if (text.startsWith('/')) return socketAddress(text, {}, {})

  const [, scheme, rest = ''] = /^([A-Za-z][\w+.-]*):\/\/(.*)$/s.exec(text) ?? ['', undefined, text]
  const at = rest.lastIndexOf('@')
  const credentials = at === -1 ? {} : readCredentials(rest.slice(0, at))
  const target = readTarget(rest.slice(at + 1))
  switch (scheme?.toLowerCase()) {
    case undefined:
      if (/^\.{1,2}\//.test(text)) throw new AddressError('the path of a socket has to begin with /')
      return hostAddress(false, target, credentials)
    case 'redis':
      return hostAddress(false, target, credentials)
    case 'rediss':
      return hostAddress(true, target, credentials)
    case 'redis+sentinel':
      return sentinelAddress(false, target, credentials)
    case 'rediss+sentinel':
      return sentinelAddress(true, target, credentials)
    case 'redis+cluster':
      return clusterAddress(false, target, credentials)
    case 'rediss+cluster':
      return clusterAddress(true, target, credentials)
    case 'unix':
      return socketAddress(`${target.place}${target.path}`, credentials, readQuery(target.query))
    default:
      throw new AddressError(schemeProblem(scheme ?? ''))
  }
}

function hostAddress(tls: boolean, { place, path, query }: Target, credentials: Credentials): SingleAddress {
  // The host first: without one, everything else may be a password.
  const at = readHost(place, REDIS_PORT)
  const { db: queried, ...options } = readQuery(query)
  const db = databaseOf(path.slice(1), queried)
  return {
    kind: 'single',
    display: `${tls ? 'rediss' : 'redis'}://${shown(at)}${db === 0 ? '' : `/${db}`}`,
    tls,
    credentials,
    connection: { ...at, db, ...options },
  }
}

function sentinelAddress(tls: boolean, { place, path, query }: Target, credentials: Credentials): SentinelAddress {
  const sentinels = readHosts(place, SENTINEL_PORT)
  const { db: queried, ...options } = readQuery(query)
  const [, name = '', database = ''] = /^\/([^/]*)(?:\/(.*))?$/s.exec(path) ?? []
  if (name === '') {
    throw new AddressError('the name of the primary is missing behind the hosts: redis+sentinel://host:26379/NAME')
  }
  // Sentinel takes no other names (sentinel.conf).
  if (!/^[\w.-]+$/.test(name)) throw new AddressError('the name of the primary consists of letters, digits, . - and _')
  const db = databaseOf(database, queried)
  return {
    kind: 'sentinel',
    display: `${tls ? 'rediss' : 'redis'}+sentinel://${sentinels.map(shown)}/${name}${db === 0 ? '' : `/${db}`}`,
    tls,
    credentials,
    sentinels,
    name,
    db,
    ...options,
  }
}

function clusterAddress(tls: boolean, { place, path, query }: Target, credentials: Credentials): ClusterAddress {
  const nodes = readHosts(place, REDIS_PORT)
  const { db: queried, ...options } = readQuery(query)
  if (databaseOf(path.slice(1), queried) !== 0) throw new AddressError('a cluster has only the database 0')
  const display = `${tls ? 'rediss' : 'redis'}+cluster://${nodes.map(shown)}`
  return { kind: 'cluster', display, tls, credentials, nodes, ...options }
}

function readHosts(place: string, defaultPort: number): HostPort[] {
  return place.split(',').map((host) => readHost(host, defaultPort))
}

const shown = ({ host, port }: HostPort) => `${isIPv6(host) ? `[${host}]` : host}:${port}`

/** `behind`: what follows the slash. */
function databaseOf(behind: string, queried: number | undefined): number {
  if (behind === '') return queried ?? 0
  if (queried !== undefined) throw new AddressError('the database is given twice, by / and by ?db=')
  return readDatabase(behind)
}

function socketAddress(path: string, credentials: Credentials, { db, family }: Options): SingleAddress {
  if (!/^\/[^/]/.test(path))
    throw new AddressError('the path of a socket begins with one /, as in unix:///run/redis.sock')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new AddressError(`the path of a socket has at most ${MAX_SOCKET_PATH} bytes`)
  }
  if (family !== undefined) throw new AddressError('a socket has no family')
  const connection = { path, ...(db !== undefined && { db }) }
  return { kind: 'single', display: path, tls: false, credentials, connection }
}

function schemeProblem(scheme: string): string {
  const tls = /rediss|tls|ssl/i.test(scheme) ? 's' : ''
  if (/sentinel/i.test(scheme)) return `${scheme}:// is not known: write redis${tls}+sentinel://host,host/NAME`
  if (/cluster/i.test(scheme)) return `${scheme}:// is not known: write redis${tls}+cluster://host,host`
  if (/^https?$/i.test(scheme)) return `${scheme}:// is the address of a web server, not of a Redis`
  return `${scheme}:// is not known: write redis://, or rediss:// for TLS`
}
