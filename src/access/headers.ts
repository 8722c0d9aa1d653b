import { validateHeaderName, validateHeaderValue } from 'node:http'
import { AccessFileError, readAccessFile } from './files.js'

/** Those that say what a message is and how it is sent (RFC 9110, RFC 9112). */
const FRAMING = /^(content-(length|type|encoding)|transfer-encoding|connection|host|expect|upgrade|trailer|te)$/i

/** Reads the headers of a file. Blocks. Throws AccessFileError. */
export function readHeaders(file: string): Record<string, string> {
  return parseHeaders(file, readAccessFile('headers_file', file))
}

/**
 * The headers of a request, one on each line of a file, as in `authorization: Bearer abc`: what curl takes as
 * `--header @FILE`. Throws AccessFileError, which never quotes the contents.
 */
export function parseHeaders(file: string, contents: Buffer): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [index, line] of contents.toString().split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const refused = (what: string) => new AccessFileError('headers_file', `${file}:${index + 1}: ${what}`)
    const [, name = '', value = ''] = /^([^:]*):\s*(.*?)\s*$/.exec(line) ?? []
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch {
      throw refused('is no header; each line has one, as in authorization: Bearer abc')
    }
    if (FRAMING.test(name)) throw refused(`${name.toLowerCase()} is for the agent to say; leave it out`)
    headers[name.toLowerCase()] = value
  }
  return headers
}
