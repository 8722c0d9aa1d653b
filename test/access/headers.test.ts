import assert from 'node:assert/strict'
import { it } from 'node:test'
import { AccessFileError } from '../../src/access/files.js'
import { parseHeaders } from '../../src/access/headers.js'

const read = (text: string) => parseHeaders('/headers', Buffer.from(text))

it('a file has a header on each line, as curl takes them', () => {
  assert.deepEqual(read('Authorization: Basic YTpiPQ==\r\n\nx-scope-orgid:a\nX-Empty:\n'), {
    authorization: 'Basic YTpiPQ==',
    'x-scope-orgid': 'a',
    'x-empty': '',
  })
  assert.deepEqual(read(''), {})
})

it('what is no header is told by its line, and not shown', () => {
  const wrong: readonly [string, string][] = [
    ['a: b\napi-key=secret', '/headers:2: is no header; each line has one, as in authorization: Bearer abc'],
    [': secret', '/headers:1: is no header; each line has one, as in authorization: Bearer abc'],
    ['a b: secret', '/headers:1: is no header; each line has one, as in authorization: Bearer abc'],
    ['a: \u0001secret', '/headers:1: is no header; each line has one, as in authorization: Bearer abc'],
    ['Content-Length: 3', '/headers:1: content-length is for the agent to say; leave it out'],
  ]
  for (const [text, message] of wrong)
    assert.throws(
      () => read(text),
      (error) => error instanceof AccessFileError && error.key === 'headers_file' && error.message === message,
    )
})
