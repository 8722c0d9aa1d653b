import { isIP } from 'node:net'
import { hostname } from 'node:os'

/** No name is longer (RFC 1035, 2.3.4). */
const NAME_MAX = 253

/**
 * Answers the name that a request calls this node by, where that is none of it; undefined where it is.
 *
 * A web page from elsewhere can have its own name lead to this node (DNS rebinding): the browser then takes this node's
 * answers for that page's own, and gives them to it. What it cannot do is to call this node by another name than its
 * own. An address is safe, as no lookup is behind it, and so are the names of the machine itself. Without a Host header
 * the client is no browser (HTTP/1.0).
 */
export function foreignHost(allowed: readonly string[]): (header: string | undefined) => string | undefined {
  const own = hostname().toLowerCase()
  const names = new Set([own, own.split('.', 1).join(), 'localhost', ...allowed])
  const suffixes = ['.localhost', ...allowed.filter((name) => name.startsWith('.'))]
  return (header) => {
    if (header === undefined) return undefined
    const [, bracketed, plain = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header) ?? []
    const name = plain.toLowerCase().replace(/\.$/, '')
    const isOwn =
      bracketed === undefined
        ? isIP(name) === 4 || names.has(name) || suffixes.some((suffix) => name.endsWith(suffix))
        : isIP(bracketed) === 6
    return isOwn ? undefined : header.slice(0, NAME_MAX)
  }
}
