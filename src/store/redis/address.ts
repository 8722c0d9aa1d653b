import { isIP, isIPv6 } from 'node:net'
import type { RedisOptions } from 'ioredis'

/** A parsed Redis address. */
export interface RedisAddress {
  /** For messages: without user and password. */
  readonly display: string
  readonly tls: boolean
  readonly connection: Pick<RedisOptions, 'host' | 'port' | 'path' | 'username' | 'password' | 'db' | 'family'>
}

const DEFAULT_PORT = 6379
const MAX_DATABASE = 2 ** 31 - 1
/** Bytes of sun_path without its NUL (unix(7)). */
const MAX_SOCKET_PATH = 107
const FAMILIES = ['0', '4', '6']

/** Why the address is invalid. The message never quotes a part that could be a password. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
}

/**
 * Parses `redis://[user:password@]host[:port][/db]`, the same as `rediss://` (TLS) or without a scheme, a bare host,
 * the path of a socket, and `unix://[user:password@]/path`. `?family=4` or `6` selects among a host's addresses,
 * `?db=1` a database. User and password extend to the last `@`; `%40` in them stands for `@`, and a percent sign
 * without two hexadecimal digits for itself. Throws AddressError.
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
    case 'unix':
      return socketAddress(`${target.place}${target.database}`, credentials, readQuery(target.query))
    default:
      throw new AddressError(schemeProblem(scheme ?? ''))
  }
}

interface Options {
  readonly family?: number
  readonly db?: number
}

/** The part after the last @. */
interface Target {
  /** Host and port. */
  readonly place: string
  /** With its leading slash. */
  readonly database: string
  readonly query: string | undefined
}

function readTarget(text: string): Target {
  if (text.includes('#')) {
    throw new AddressError('a # has no meaning there: put user and password, and an @, before the host')
  }
  const [where = '', query] = text.split(/\?(.*)/s)
  const slash = where.indexOf('/')
  return {
    place: slash === -1 ? where : where.slice(0, slash),
    database: slash === -1 ? '' : where.slice(slash),
    query,
  }
}

const INSTEAD: Readonly<Record<string, string>> = {
  password: 'write redis://user:password@host',
  user: 'write redis://user:password@host',
  username: 'write redis://user:password@host',
  tls: 'write rediss:// for TLS',
  ssl: 'write rediss:// for TLS',
}

function readQuery(query: string | undefined): Options {
  if (query === undefined) return {}
  let options: Options = {}
  for (const parameter of query.split('&')) {
    const [name = '', value = ''] = parameter.split(/=(.*)/s)
    if (name === 'family' && FAMILIES.includes(value)) options = { ...options, family: Number(value) }
    else if (name === 'db') options = { ...options, db: readDatabase(value) }
    else if (name === 'family') throw new AddressError('family is 4, 6 or 0 (both)')
    else if (!/^[a-z_]{1,30}$/i.test(name)) throw new AddressError('what follows the ? is no name=value')
    else
      throw new AddressError(
        `the parameter ${name} is not known: ${INSTEAD[name.toLowerCase()] ?? 'family and db are'}`,
      )
  }
  return options
}

function readCredentials(text: string): Credentials {
  if (text === '' || text === ':') return {}
  const colon = text.indexOf(':')
  if (colon === -1) {
    throw new AddressError('before the @ stands user:password, or :password without a user; one of them is missing')
  }
  const username = decode(text.slice(0, colon))
  return { ...(username && { username }), password: decode(text.slice(colon + 1)) }
}

function decode(part: string): string {
  try {
    return part.replace(/(?:%[\da-f]{2})+/gi, decodeURIComponent)
  } catch {
    throw new AddressError(
      'a % in user or password is followed by digits that stand for no character: write %25 for a percent sign',
    )
  }
}

type Credentials = Pick<RedisOptions, 'username' | 'password'>

function hostAddress(tls: boolean, { place, database, query }: Target, credentials: Credentials): RedisAddress {
  // The host first: without one, everything else may be a password.
  const [host, port] = readHost(place)
  const { db: queried, ...options } = readQuery(query)
  if (database.length > 1 && queried !== undefined) {
    throw new AddressError('the database is given twice, by / and by ?db=')
  }
  const db = database.length > 1 ? readDatabase(database.slice(1)) : (queried ?? 0)
  const shown = isIPv6(host) ? `[${host}]` : host
  return {
    display: `${tls ? 'rediss' : 'redis'}://${shown}:${port}${db === 0 ? '' : `/${db}`}`,
    tls,
    connection: { host, port, db, ...credentials, ...options },
  }
}

/** Messages must not quote `place`: where the @ is missing, it is the password. */
function readHost(place: string): [host: string, port: number] {
  if (place === '') throw new AddressError('the host is missing')
  if (isIPv6(place)) throw new AddressError('an IPv6 address stands in brackets: redis://[::1]:6379')
  if (place.includes(',')) throw new AddressError('there are several hosts: give one')
  const [, literal, name, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(place) ?? []
  if (literal !== undefined && !isIPv6(literal)) throw new AddressError('between [ and ] stands no IPv6 address')
  const host = literal ?? name
  if (host === undefined)
    throw new AddressError('the host is followed by more than one colon: an IPv6 address stands in [ ]')
  if (host === '') throw new AddressError('the host is missing before the port')
  if (!isIP(host)) {
    if (/^\d+$/.test(host)) throw new AddressError('the host is a bare number: write localhost:PORT for a port')
    if (/^[\d.]+$/.test(host)) throw new AddressError('the host is no IP address: it has four numbers up to 255')
    if (!/^[\p{L}\p{N}._-]{1,253}$/u.test(host))
      throw new AddressError('the host is no name: letters, digits, - _ and . make one')
  }
  if (port === undefined) return [host, DEFAULT_PORT]
  const number = Number(port)
  if (!/^\d{1,5}$/.test(port) || number < 1 || number > 65_535) {
    throw new AddressError('the port is no number from 1 to 65535')
  }
  return [host, number]
}

function readDatabase(text: string): number {
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number <= MAX_DATABASE) return number
  throw new AddressError('the database behind the / is no number: redis://host:6379/0')
}

function socketAddress(path: string, credentials: Credentials, options: Options): RedisAddress {
  if (!/^\/[^/]/.test(path))
    throw new AddressError('the path of a socket begins with one /, as in unix:///run/redis.sock')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new AddressError(`the path of a socket has at most ${MAX_SOCKET_PATH} bytes`)
  }
  if (options.family !== undefined) throw new AddressError('a socket has no family')
  const { db } = options
  return { display: path, tls: false, connection: { path, ...credentials, ...(db !== undefined && { db }) } }
}

function schemeProblem(scheme: string): string {
  if (/sentinel/i.test(scheme)) {
    return `${scheme}:// is not supported: give the address of the primary, or a name or proxy that leads to it`
  }
  if (/cluster/i.test(scheme)) return `${scheme}:// is not supported: give a Redis that is no cluster`
  if (/^https?$/i.test(scheme)) return `${scheme}:// is the address of a web server, not of a Redis`
  return `${scheme}:// is not known: write redis://, or rediss:// for TLS`
}
