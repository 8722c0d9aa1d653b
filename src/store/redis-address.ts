import type { RedisOptions } from 'ioredis'

/** A Redis address taken apart. */
export interface RedisAddress {
  /** For people: without user and password. */
  readonly display: string
  readonly connection: Pick<RedisOptions, 'host' | 'port' | 'path' | 'username' | 'password' | 'db' | 'tls'>
}

/**
 * Takes apart `redis://[user:password@]host[:port][/db]`, the same as `rediss://` (TLS) or without a scheme, a bare
 * host, and the path of a socket. Throws an Error that says what an address looks like and repeats no password.
 */
export function parseRedisAddress(address: string): RedisAddress {
  const text = address.trim()
  const socket = text.startsWith('unix://') ? text.slice('unix://'.length) : text
  if (/^\.{0,2}\//.test(socket)) return { display: socket, connection: { path: socket } }

  const url = parseUrl(text.includes('://') ? text : `redis://${text}`)
  const database = /^\/?(\d*)$/.exec(url.pathname)
  if (!/^rediss?:$/.test(url.protocol) || url.hostname === '' || database === null || url.search || url.hash) {
    throw notAnAddress()
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 6379 : Number(url.port)
  const db = Number(database[1])
  return {
    display: `${url.protocol}//${url.hostname}:${port}${db === 0 ? '' : `/${db}`}`,
    connection: {
      host,
      port,
      db,
      ...(url.username ? { username: decode(url.username) } : {}),
      ...(url.password ? { password: decode(url.password) } : {}),
      ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
    },
  }
}

function parseUrl(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw notAnAddress()
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw notAnAddress()
  }
}

function notAnAddress(): Error {
  return new Error(
    'not a Redis address: expected redis://[user:password@]host[:port][/db], rediss://…, host:port or the path of a ' +
      'socket; characters like @ : / # ? % in a password are percent-encoded',
  )
}
