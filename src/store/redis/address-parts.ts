import { isIP, isIPv6 } from 'node:net'

/** Why the address is invalid. The message never quotes a part that could be a password. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
}

/** One address that a Redis or a Sentinel listens on. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** How the agent signs in; without a user it is the default one. */
export interface Credentials {
  readonly username?: string
  readonly password?: string
}

const MAX_DATABASE = 2 ** 31 - 1
const FAMILIES = ['0', '4', '6']

/** What the query of an address may hold. */
export interface Options {
  /** Which of a host's addresses, 4, 6 or 0 for both. */
  readonly family?: number
  readonly db?: number
}

/** The part after the last @. */
export interface Target {
  /** Host and port, or several with commas between. */
  readonly place: string
  /** What follows the host, with its leading slash. */
  readonly path: string
  readonly query: string | undefined
}

export function readTarget(text: string): Target {
  if (text.includes('#')) {
    throw new AddressError('a # has no meaning there: put user and password, and an @, before the host')
  }
  const [where = '', query] = text.split(/\?(.*)/s)
  const slash = where.indexOf('/')
  return {
    place: slash === -1 ? where : where.slice(0, slash),
    path: slash === -1 ? '' : where.slice(slash),
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

export function readQuery(query: string | undefined): Options {
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

export function readCredentials(text: string): Credentials {
  if (text === '' || text === ':') return {}
  const colon = text.indexOf(':')
  if (colon === -1) {
    throw new AddressError(
      'before the @ stands user:password, :password without a user, or user: with the password in redis.password_file; ' +
        'the colon is missing',
    )
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

/** Messages must not quote `place`: where the @ is missing, it is the password. */
export function readHost(place: string, defaultPort: number): HostPort {
  if (place === '') throw new AddressError('the host is missing')
  if (isIPv6(place)) throw new AddressError('an IPv6 address stands in brackets: redis://[::1]:6379')
  if (place.includes(','))
    throw new AddressError('there are several hosts: give one, or redis+sentinel:// or redis+cluster://')
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
  if (port === undefined) return { host, port: defaultPort }
  const number = Number(port)
  if (!/^\d{1,5}$/.test(port) || number < 1 || number > 65_535) {
    throw new AddressError('the port is no number from 1 to 65535')
  }
  return { host, port: number }
}

export function readDatabase(text: string): number {
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number <= MAX_DATABASE) return number
  throw new AddressError('the database behind the / is no number: redis://host:6379/0')
}
