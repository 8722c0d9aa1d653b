import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { deflateSync, gzipSync } from 'node:zlib'
import { buildZip, type ZipEntry } from '../../harness/zip.js'
import type { CodeVersion } from '../../src/threads/messages.js'
import { deploy, makeApps, snapshot } from '../workers/deploy/deploy-fixture.js'

const run: ZipEntry = { name: 'run.sh', contents: '#!/bin/sh\n' }
const data: ZipEntry = { name: 'data', contents: 'data '.repeat(100) }
const zip = buildZip([run, data])
const expected = { 'run.sh': '#!/bin/sh\n', data: 'data '.repeat(100) }
const inner = buildZip([{ name: 'run.sh', contents: 'inner' }])

const bytes = (...parts: (string | Buffer)[]) => Buffer.concat(parts.map((part) => Buffer.from(part)))

async function taken(t: TestContext, cases: Readonly<Record<string, Buffer>>, contents = expected): Promise<void> {
  for (const [name, body] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      assert.deepEqual(await snapshot((await apps.deployed(body)).dir), contents)
    })
  }
}

async function refused(t: TestContext, cases: Readonly<Record<string, readonly [Buffer, RegExp]>>): Promise<void> {
  for (const [name, [body, message]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      assert.match(await apps.refused(body), message)
    })
  }
}

/** As reqwest, curl and browsers write it. */
function form(
  file: Buffer,
  { boundary = 'a1b2c3d4e5f60718-9a0b', name = 'browser.zip', newline = '\r\n' } = {},
): Buffer {
  const headers = [
    `Content-Disposition: form-data; name="file"; filename="${name}"`,
    'Content-Type: application/zip',
    '',
    '',
  ]
  return bytes(`--${boundary}${newline}`, headers.join(newline), file, `${newline}--${boundary}--${newline}`)
}

const part = (headers: string, contents: string | Buffer) => bytes('--b\r\n', headers, '\r\n\r\n', contents, '\r\n')
const text = part('content-disposition: form-data; name="note"', 'a word')

test('a file in a multipart form', async (t) => {
  await taken(t, {
    'as clients send it': form(zip),
    'with bare line feeds': form(zip, { newline: '\n' }),
    'with a boundary of dashes': form(zip, { boundary: '------------------------d74496d66958873e' }),
    'without a line end at its end': form(zip).subarray(0, -2),
    'with text before and behind': bytes('Preamble.\r\n\r\n', form(zip), 'Epilogue --b--\r\n'),
    'with white space behind the boundary': bytes(
      '--b \t\r\nContent-Disposition: form-data; filename=x\r\n\r\n',
      zip,
      '\r\n--b--',
    ),
    'with headers in capitals, over two lines': bytes(
      part('CONTENT-DISPOSITION: form-data;\r\n\tFILENAME="x.zip"', zip),
      '--b--\r\n',
    ),
    'with a name in RFC 8187': bytes(part("Content-Disposition: form-data; filename*=UTF-8''x%20y.zip", zip), '--b--'),
    'with its type alone': bytes(part('X-Own: x\r\nContent-Type: application/zip', zip), '--b--'),
    'among other fields': bytes(text, part('Content-Disposition: form-data; name=f; filename=x', zip), text, '--b--'),
    'beside a field for files that is empty': bytes(
      part('Content-Disposition: form-data; name=other; filename=""', ''),
      part('Content-Disposition: form-data; name=f; filename="x.zip"', zip),
      '--b--',
    ),
    'that only its bytes tell from a field': bytes(text, part('Content-Disposition: form-data; name=f', zip), '--b--'),
    'without text, behind which something stands': form(bytes('#!/bin/sh\n', zip, '\r\n')),
  })
})

test('a form whose file holds its boundary, but on no line of its own', async (t) => {
  const contents = 'x\r\n--b1\r\n\r\n--bb--\r\nx--b--\r\n'
  const archive = buildZip([run, { name: 'data', contents, stored: true }])
  const body = bytes(part('Content-Disposition: form-data; name=f; filename=x', archive), '--b--\r\n')
  await taken(t, { whole: body }, { 'run.sh': '#!/bin/sh\n', data: contents })
})

test('the same file in a form with another boundary is the same archive', async (t) => {
  const apps = await makeApps(t)
  const version: CodeVersion = await apps.deployed(form(zip))
  for (const body of [form(zip, { boundary: 'other' }), form(zip, { name: 'other.zip' }), zip]) {
    assert.deepEqual(await deploy(apps.task(body)), { kind: 'unchanged', version, warnings: [] })
  }
})

test('a form that does not say which archive is meant, or is cut off', async (t) => {
  const file = (name: string) => part(`Content-Disposition: form-data; name=f; filename="${name}"`, zip)
  const came = 'it came as a multipart form, and'
  await refused(t, {
    'two files': [
      bytes(file('a.zip'), file('b.zip'), '--b--'),
      new RegExp(`^no archive: ${came} 2 of its parts are files \\("a.zip", "b.zip"\\); send one file, a zip archive$`),
    ],
    'no file': [bytes(text, text, '--b--'), new RegExp(`${came} none of its 2 parts is a file;`)],
    'cut off in the file': [
      form(zip).subarray(0, 200),
      new RegExp(`^not a whole archive: ${came} its closing boundary "--a1b2c3d4e5f60718-9a0b--" is missing$`),
    ],
    'cut off before its end': [form(zip).subarray(0, -6), /closing boundary .* is missing$/],
    'cut off in the headers': [form(zip).subarray(0, 60), /the headers of a part do not end$/],
    'in base64': [
      bytes(
        part('Content-Disposition: form-data; filename=x\r\nContent-Transfer-Encoding: BASE64', zip.toString('base64')),
        '--b--',
      ),
      /its file is encoded in base64, and only bytes as they are are allowed; send one file, a zip archive$/,
    ],
    'compressed once more': [
      bytes(part('Content-Disposition: form-data; filename=x\r\nContent-Encoding: gzip', gzipSync(zip)), '--b--'),
      new RegExp(
        `^no archive: ${came} its file was compressed once more, by "gzip" \\(its Content-Encoding\\); send one file`,
      ),
    ],
    'gzip as its file': [form(gzipSync(zip)), /^not a zip archive: it is gzip, .*; only a zip archive is allowed$/],
    'wrapped twice': [
      form(form(zip, { boundary: 'inner' })),
      new RegExp(`${came} what it holds is a multipart form again`),
    ],
    'with a form in a form': [
      bytes(
        text,
        part(
          'Content-Disposition: form-data; name=files\r\nContent-Type: multipart/mixed; boundary=inner',
          bytes('--inner\r\nContent-Disposition: file; filename=x\r\n\r\n', zip, '\r\n--inner--'),
        ),
        '--b--',
      ),
      /what it holds is a multipart form again, as of a body that was wrapped twice; send one file, a zip archive$/,
    ],
    'with a page instead of a file': [form(Buffer.from('<html>')), /^not a zip archive: it is HTML or XML/],
  })
})

/** As before POSIX: a name, the sum of its header, and no signature. */
function oldTar(): Buffer {
  const tar = Buffer.alloc(1024)
  tar.write('run.sh')
  tar.fill(' ', 148, 156)
  const sum = tar.subarray(0, 512).reduce((sum, byte) => sum + byte, 0)
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return tar
}

const stub = '#!/usr/bin/env python3\n'

/** With offsets that count from the first byte, as `zip -A` and Python's zipapp write them. */
function adjusted(before: string | Buffer, archive: Buffer): Buffer {
  const moved = Buffer.from(archive)
  const { length } = Buffer.from(before)
  for (let at = moved.indexOf('PK\x01\x02'); at !== -1; at = moved.indexOf('PK\x01\x02', at + 1)) {
    moved.writeUInt32LE(moved.readUInt32LE(at + 42) + length, at + 42)
  }
  const end = moved.lastIndexOf('PK\x05\x06')
  moved.writeUInt32LE(moved.readUInt32LE(end + 16) + length, end + 16)
  return bytes(before, moved)
}

const zip64 = buildZip([run, data], {
  count: 0xffff,
  directorySize: 0xffffffff,
  directoryStart: 0xffffffff,
  zip64: {},
})

test('an archive with other bytes around it', async (t) => {
  await taken(t, {
    'behind a script': bytes(stub, zip),
    'behind a script that it knows': adjusted(stub, zip),
    'behind a script with dashes and colons': bytes('-- a comment\nlocal x = a:b()\nother:c()\n', zip),
    'behind a program with the signatures of its entries': bytes('\x7fELF PK\x03\x04 PK\x01\x02 PK\x05\x06', zip),
    'zip64 behind a script': bytes(stub, zip64),
    'before a line end': bytes(zip, '\r\n'),
    'before as much padding as readers look through': bytes(zip, Buffer.alloc(0xffff)),
    'before its own entries again, without a directory': bytes(zip, zip.subarray(0, 50)),
    'between both': bytes(stub, zip, '\r\n'),
    'with a comment that is longer than it says': bytes(
      buildZip([run, data], { comment: Buffer.from('it is') }),
      ' so',
    ),
    'with a comment that was cut off': buildZip([run, data], { comment: Buffer.from('comment') }).subarray(0, -3),
  })
})

test('an archive that holds others', async (t) => {
  const contents = inner.toString('latin1')
  const jar = buildZip([run, { name: 'data', contents: inner, stored: true }])
  await taken(t, { plain: jar, 'with a line end': bytes(jar, '\n') }, { 'run.sh': '#!/bin/sh\n', data: contents })
})

test('bytes in which two readers could find two archives', async (t) => {
  const contradicts = (text: string) => new RegExp(`^the zip archive contradicts itself: .*${text}`)
  const longComment = Buffer.from(inner)
  longComment.writeUInt16LE(zip.length - 10, inner.length - 2)
  const cutOff = buildZip([run, { name: 'x.jar', contents: inner, stored: true }, data])
  await refused(t, {
    'one behind another': [
      bytes(inner, zip),
      contradicts(`the ${inner.length} bytes before its first entry hold an entry`),
    ],
    'one behind another, adjusted': [
      adjusted(inner, zip),
      contradicts('before its first entry hold an entry of another'),
    ],
    'one behind an empty one': [
      bytes('PK\x05\x06', Buffer.alloc(18), zip),
      contradicts('hold another end record, at byte 0'),
    ],
    'one in the comment': [buildZip([run], { comment: inner }), contradicts('its comment holds another end record')],
    'two directories': [
      // The end record gives the first directory's place, and stands behind the second.
      bytes(zip.subarray(0, -22), zip.subarray(zip.indexOf('PK\x01\x02'))),
      contradicts('its directory is not where its end record says: there is one at byte \\d+ and one at byte \\d+$'),
    ],
    'the beginning of one, ended by one that it holds': [
      cutOff.subarray(0, cutOff.indexOf('data') - 30),
      contradicts('before its first entry hold an entry of another one, at byte 0$'),
    ],
    'an end record in an entry, exact where the last is not': [
      bytes(
        buildZip([
          run,
          {
            name: 'data',
            stored: true,
            contents: (() => {
              const end = Buffer.from(inner.subarray(-22))
              end.writeUInt16LE(22 + 2 * 46 + 'run.sh'.length + 'data'.length + 2, 20)
              return end
            })(),
          },
        ]),
        '\r\n',
      ),
      contradicts('its comment holds another end record'),
    ],
    'too much behind it': [
      bytes(zip, Buffer.alloc(0x10000)),
      new RegExp(`its last end record stands at byte ${zip.length - 22} and 65536 bytes follow`),
    ],
    'one part of several': [
      (() => {
        const split = Buffer.from(zip)
        split.writeUInt16LE(1, split.length - 22 + 4)
        return split
      })(),
      /^not a whole zip archive: it is one part of several; join them first$/,
    ],
  })
})

test('what is no zip archive is called by its name', async (t) => {
  const tar = Buffer.alloc(1024)
  tar.write('ustar', 257)
  const is = (text: string) =>
    new RegExp(`^not a zip archive: it is ${text.replace('$', '; only a zip archive is allowed$')}`)
  await refused(t, {
    nothing: [Buffer.alloc(0), is('empty \\(0 bytes\\)')],
    'tar.gz': [gzipSync(tar), is('gzip, as of a .tar.gz or of a body that was sent compressed$')],
    tar: [tar, is('a tar archive$')],
    '7z': [Buffer.from('7z\xbc\xaf\x27\x1c and more', 'latin1'), is('a 7z archive$')],
    rar: [Buffer.from('Rar!\x1a\x07\x01\0'), is('a RAR archive$')],
    xz: [Buffer.from('\xfd7zXZ\0', 'latin1'), is('xz, as of a .tar.xz$')],
    'the oldest tar': [oldTar(), is('a tar archive$')],
    zlib: [deflateSync('x'.repeat(100)), is('zlib, as of a body that was sent compressed \\(deflate\\)$')],
    'one part of a split zip': [
      Buffer.from('PK\x07\x08PK\x03\x04'),
      is('one part of a split zip archive: join them first$'),
    ],
    zstd: [Buffer.from('\x28\xb5\x2f\xfd', 'latin1'), is('Zstandard')],
    'a page': [
      Buffer.from('\n<!DOCTYPE html><title>502</title>'),
      is('HTML or XML, perhaps the page of an error \\(it begins with "<!DOCTYPE html><title>502'),
    ],
    JSON: [Buffer.from('{"error":"no such file"}'), is('JSON or the like \\(it begins with')],
    'a script': [
      Buffer.from('#!/bin/sh\necho\n'),
      is('a bare script, which has to be packed \\(its first line is "#!/bin/sh"\\)$'),
    ],
    ELF: [Buffer.from('\x7fELF\x02\x01\x01'), is('a bare program \\(ELF\\), which has to be packed$')],
    base64: [Buffer.from(zip.toString('base64')), is('base64 text of a zip archive: send the bytes themselves$')],
    text: [Buffer.from('Moved Permanently ü'), is('text \\(it begins with "Moved Permanently ü"\\)$')],
    noise: [Buffer.from([0, 1, 2, 3, 255]), is('of no kind known here \\(it begins with the bytes 00010203ff\\)$')],
  })
})

test('an archive that its transfer has changed', async (t) => {
  const noise = { name: 'noise', contents: randomBytes(64 * 1024) }
  const large = buildZip([run, noise])
  const lines = (change: (line: string) => string) =>
    Buffer.from(large.toString('latin1').replace(/\r?\n/g, change), 'latin1')
  await refused(t, {
    'read as text': [Buffer.from(large.toString()), /^not a whole zip archive: it was read as text, .* as bytes$/],
    'read as Latin-1': [Buffer.from(large.toString('latin1')), /^not a whole zip archive: it was read as text/],
    'without line ends': [
      Buffer.from(large.filter((byte) => byte !== 10 && byte !== 13)),
      /^not a whole zip archive: its line ends were removed, as by curl -d; .* --data-binary/,
    ],
    'with line ends of Windows': [lines(() => '\r\n'), /^not a whole zip archive: its line ends were changed/],
    'cut off only': [large.subarray(0, -30), /it has no end record, or was cut off before it/],
  })
})

test('an archive without any program', async (t) => {
  await refused(t, {
    'with nothing in it': [buildZip([]), /^handler "run.sh" is not in the archive, which holds no files$/],
    'with another archive in it': [
      buildZip([{ name: 'function.zip', contents: zip }]),
      /^handler "run.sh" is not in the archive, which holds only another archive, "function.zip": send what is in that/,
    ],
  })
})
