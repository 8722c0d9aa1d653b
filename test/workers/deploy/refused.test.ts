import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { crc32, deflateRawSync } from 'node:zlib'
import { both, buildZip, FILE, FOLDER, link, type ZipEntry, zip64Extra } from '../../../harness/zip.js'
import type { DeployTask } from '../../../src/threads/messages.js'
import { makeApps, snapshot } from './deploy-fixture.js'

const good = buildZip([{ name: 'run.sh', contents: 'good' }])
const run: ZipEntry = { name: 'run.sh', contents: 'hostile' }
const limits = { maxEntries: 100, maxBytes: 8_000_000, maxRatio: 50 }

/** Larger than what is unpacked in memory at once, and random, so that it stays large. */
const noise = Buffer.alloc(600_000)
for (let index = 0, state = 1; index < noise.length; index++) {
  state = (state * 48271) % 0x7fffffff
  noise[index] = state
}

/** Refused with this message; then the version from before serves and nothing else has changed anywhere. */
async function refuses(
  t: TestContext,
  archive: Buffer,
  message: RegExp | string,
  changes: Partial<DeployTask> = {},
): Promise<void> {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  const before = await snapshot(apps.root)
  for (const functionName of ['hello', 'never deployed before']) {
    const refused = await apps.refused(archive, { limits, functionName, ...changes })
    if (typeof message === 'string') assert.equal(refused, message)
    else assert.match(refused, message)
    assert.deepEqual(await snapshot(apps.root), before)
  }
  const serving = await apps.deployed(buildZip([{ name: 'run.sh', contents: 'next' }]))
  assert.notEqual(serving.dir, version.dir)
}

function withEntry(entry: ZipEntry): Buffer {
  return buildZip([run, entry, { name: 'last', contents: 'last' }])
}

async function refusesEach(
  t: TestContext,
  cases: Readonly<Record<string, readonly [Buffer, RegExp | string]>>,
): Promise<void> {
  for (const [name, [archive, message]] of Object.entries(cases)) {
    await t.test(name, (t) => refuses(t, archive, message))
  }
}

const absolute = 'is an absolute path; only paths relative to the archive are allowed'
const dots = 'contains ".."; only paths that stay inside the archive are allowed'
const control = 'contains control characters; only printable names are allowed'

test('names that leave the folder or are none', async (t) => {
  const cases: Record<string, readonly [string | Buffer, string]> = {
    absolute: ['/etc/passwd', `entry "/etc/passwd" ${absolute}`],
    'the root': ['//', `entry "//" ${absolute}`],
    'a slash': ['/', `entry "/" ${absolute}`],
    up: ['../outside/secret', `entry "../outside/secret" ${dots}`],
    'down and up': ['a/../../outside/secret', `entry "a/../../outside/secret" ${dots}`],
    'up at the end': ['a/..', `entry "a/.." ${dots}`],
    NUL: ['a\0b', `entry "a\\u0000b" ${control}`],
    newline: ['a\nb', `entry "a\\nb" ${control}`],
    DEL: ['a\x7fb', `entry "a\x7fb" ${control}`],
    'a C1 control character': ['a\u009bb', `entry "a\u009bb" ${control}`],
    empty: ['', 'entry "" has no name'],
    'a dot': ['.', 'entry "." has no name'],
    'dots alone': ['./.', 'entry "./." has no name'],
    'not UTF-8': [
      Buffer.from('a\xff', 'latin1'),
      'entry "a\uFFFD" is not valid UTF-8 (it could be "aÿ" in windows-1252 or "aя" in windows-1251); only UTF-8 is allowed',
    ],
    'a long component': [
      'é'.repeat(128),
      `entry "${'é'.repeat(128)}" contains a name longer than the 255 bytes allowed`,
    ],
    'a long path': [
      `${'n'.repeat(99)}/`.repeat(41),
      `entry "${`${'n'.repeat(99)}/`.repeat(2)}…" is longer than the 4096 bytes allowed for a path`,
    ],
  }
  for (const [name, [entry, message]] of Object.entries(cases)) {
    await t.test(name, (t) =>
      refuses(t, withEntry({ name: entry, contents: entry.toString().endsWith('/') ? '' : 'x' }), message),
    )
  }
  await t.test('control characters of code page 437', (t) =>
    refuses(
      t,
      withEntry({ name: 'a\x1bb', contents: 'x', system: 0, local: { flags: 0 }, central: { flags: 0 } }),
      `entry "a\\u001bb" ${control}`,
    ),
  )
  await t.test('in the field for Unicode names', (t) => {
    const name = Buffer.from('innocent')
    const extra = Buffer.concat([Buffer.from([0x75, 0x70, 14, 0, 1]), Buffer.alloc(4), Buffer.from('../x/y/z!')])
    extra.writeUInt32LE(crc32(name), 5)
    const other = 'is named "../x/y/z!" by its field for Unicode names; both must name one file'
    return refuses(t, withEntry({ name, contents: 'x', central: { extra } }), `entry "innocent" ${other}`)
  })
})

test('what is neither file, folder nor link', async (t) => {
  const special = /^entry "odd" is a device, FIFO or socket; only files, folders and symbolic links are allowed$/
  await refusesEach(t, {
    'block device': [withEntry({ name: 'odd', mode: 0o060666 }), special],
    'character device': [withEntry({ name: 'odd', mode: 0o020666 }), special],
    FIFO: [withEntry({ name: 'odd', mode: 0o010666 }), special],
    socket: [withEntry({ name: 'odd', mode: 0o140666 }), special],
    'an unknown type': [withEntry({ name: 'odd', mode: 0o150666 }), special],
    'a folder named as a file': [
      withEntry({ name: 'odd', mode: FOLDER }),
      'entry "odd" is a folder by its mode and a file by its name',
    ],
    'a file named as a folder': [
      withEntry({ name: 'odd/', mode: FILE }),
      'entry "odd/" is a file by its mode and a folder by its name',
    ],
    'a folder with contents': [
      withEntry({ name: 'odd/', mode: FOLDER, contents: 'x' }),
      'entry "odd/" is a folder by its name and has contents (1 bytes); the name of a file does not end in "/"',
    ],
  })
})

test('two entries for one file', async (t) => {
  const a: ZipEntry = { name: 'a', contents: 'first' }
  await refusesEach(t, {
    'the same name': [
      buildZip([run, a, { name: 'a', contents: 'second' }]),
      /^entry "a" has the same name as another file of the archive, "a"$/,
    ],
    'file and folder': [
      buildZip([run, a, { name: 'a/', mode: FOLDER }]),
      /^entry "a\/" has the same name as another file of the archive, "a"$/,
    ],
    'folder and file': [
      buildZip([run, { name: 'a/', mode: FOLDER }, a]),
      /^entry "a" has the same name as another folder/,
    ],
    'below a file': [
      buildZip([run, a, { name: 'a/b/c', contents: 'x' }]),
      'entry "a/b/c" lies below "a", which is a file',
    ],
    'a file where a folder is implied': [
      buildZip([run, { name: 'a/b' }, a]),
      /^entry "a" has the same name as another folder/,
    ],
    'slash and backslash of Windows': [
      buildZip([run, { name: 'a/b', system: 0 }, { name: 'a\\b', system: 0 }]),
      /^entry "a\\\\b" has the same name as another file of the archive, "a\/b"$/,
    ],
    'two spellings': [buildZip([run, a, { name: './/a', contents: 'second' }]), /^entry ".\/\/a" has the same name/],
    'through a link': [
      buildZip([run, link('d', '../../../outside'), { name: 'd/secret' }]),
      'entry "d/secret" lies below "d", which is a symbolic link',
    ],
    'a link over a file': [buildZip([run, a, link('a', 'run.sh')]), /^entry "a" has the same name/],
  })
})

test('links that leave the folder', async (t) => {
  const escaping = (name: string, target: string) =>
    `entry "${name}" is a symbolic link to "${target}", which leaves the function's folder; only links that stay inside are allowed`
  const unprintable = /^entry "l" is a symbolic link to ".*"; only printable relative paths with "\/" are allowed$/
  const circle = /^entry ".*" is a symbolic link that leads in a circle or through more than 40 others$/
  const chain = Array.from({ length: 45 }, (_, index) => link(`l${index}`, index === 44 ? 'run.sh' : `l${index + 1}`))
  await refusesEach(t, {
    absolute: [withEntry(link('l', '/etc/passwd')), escaping('l', '/etc/passwd')],
    up: [withEntry(link('l', '../../../outside/secret')), escaping('l', '../../../outside/secret')],
    'just the parent': [withEntry(link('l', '..')), escaping('l', '..')],
    'up and back in': [withEntry(link('a/l', '../../versions')), escaping('a/l', '../../versions')],
    'through another link': [
      buildZip([run, { name: 'a/b/c' }, link('a/b/up', '../..'), link('out', 'a/b/up/../outside')]),
      escaping('out', 'a/b/up/../outside'),
    ],
    'through a link that comes later': [
      buildZip([run, link('out', 'here/..'), link('here', '.')]),
      escaping('out', 'here/..'),
    ],
    'through what is missing': [withEntry(link('l', 'missing/../..')), escaping('l', 'missing/../..')],
    'behind a file': [withEntry(link('l', 'run.sh/x/../../..')), escaping('l', 'run.sh/x/../../..')],
    'to itself': [withEntry(link('l', 'l')), circle],
    'in a circle': [buildZip([run, link('a', 'b/x'), link('b', 'c'), link('c', 'a')]), circle],
    'through too many': [buildZip([run, ...chain]), circle],
    'doubling at each step': [
      buildZip([run, link('l0', '.'), ...Array.from({ length: 30 }, (_, i) => link(`l${i + 1}`, `l${i}/l${i}`))]),
      circle,
    ],
    'to nothing': [withEntry(link('l', '')), unprintable],
    'with NUL': [withEntry(link('l', 'run.sh\0/../..')), unprintable],
    'not UTF-8': [withEntry({ ...link('l', ''), contents: Buffer.from([0xff]) }), unprintable],
    'too long': [
      withEntry(link('l', 'a/'.repeat(2050))),
      'entry "l" is a symbolic link whose target is longer than 4095 bytes',
    ],
  })
})

test('entries that cannot be unpacked', async (t) => {
  const encrypted = 'entry "x" is encrypted; only unencrypted entries are allowed'
  const flags = (value: number) => both({ flags: value })
  await refusesEach(t, {
    encrypted: [withEntry({ name: 'x', contents: 'x', ...flags(0x801) }), encrypted],
    'masked headers': [withEntry({ name: 'x', contents: 'x', ...flags(0x2800) }), encrypted],
    'strongly encrypted': [withEntry({ name: 'x', contents: 'x', ...flags(0x841) }), encrypted],
    bzip2: [
      withEntry({ name: 'x', contents: 'x', central: { method: 12 } }),
      'entry "x" is compressed by method 12; only stored and deflated entries are allowed',
    ],
    AES: [withEntry({ name: 'x', contents: 'x', central: { method: 99 } }), /^entry "x" is compressed by method 99;/],
  })
})

test('entries whose bytes are not what they declare', async (t) => {
  const says = (text: string) => `entry "x" is damaged: it ${text}`
  for (const [size, contents] of Object.entries({ small: Buffer.from('contents'), large: noise })) {
    const packed = deflateRawSync(contents)
    const { length } = contents
    await t.test(size, (t) =>
      refusesEach(t, {
        'wrong CRC-32': [withEntry({ name: 'x', contents, ...both({ crc32: 1 }) }), says('does not match its CRC-32')],
        'wrong CRC-32, stored': [
          withEntry({ name: 'x', contents, stored: true, ...both({ crc32: 1 }) }),
          says('does not match its CRC-32'),
        ],
        'more than declared': [
          withEntry({ name: 'x', contents, ...both({ size: length - 1 }) }),
          says(`unpacks to more than the ${length - 1} bytes it declares`),
        ],
        'less than declared': [
          withEntry({ name: 'x', contents, ...both({ size: length + 1 }) }),
          says(`unpacks to ${length} bytes and declares ${length + 1}`),
        ],
        'stored and another size': [
          withEntry({ name: 'x', contents, stored: true, ...both({ size: length + 1 }) }),
          `entry "x" is damaged: it holds ${length} bytes and declares ${length + 1}`,
        ],
        'cut off': [
          withEntry({ name: 'x', contents, packed: packed.subarray(0, -3) }),
          says('cannot be decompressed (unexpected end of file)'),
        ],
        'bytes behind its end': [
          withEntry({ name: 'x', contents, packed: Buffer.concat([packed, Buffer.alloc(200_000)]) }),
          says('has bytes behind the end of its compressed data'),
        ],
        'not deflated': [
          withEntry({ name: 'x', contents, packed: Buffer.alloc(packed.length, 0xff) }),
          /^entry "x" is damaged: it cannot be decompressed \(/,
        ],
      }),
    )
  }
})

test('archives that are too much', async (t) => {
  const zeros = Buffer.alloc(4_000_000)
  const header = buildZip([{ name: 'inner', contents: 'inner', stored: true }]).subarray(0, 40)
  const quoted = buildZip([run, { name: 'outer', contents: header, stored: true }])
  const shared = (name: string, offset: number) => ({
    name,
    contents: 'inner',
    stored: true,
    central: { offset },
    omitLocal: true,
  })
  const count = 'the archive has'
  const allowed = 'at most 100 files and folders are allowed'
  await refusesEach(t, {
    'too many entries': [
      buildZip([run, ...Array.from({ length: 100 }, (_, index) => ({ name: `f${index}` }))]),
      `${count} 101 entries; ${allowed}`,
    ],
    'too many entries by its word': [buildZip([run], { count: 5000 }), `${count} 5000 entries; ${allowed}`],
    'too many folders implied': [
      buildZip([run, { name: `${'a/'.repeat(99)}b` }]),
      `${count} more with the folders its names imply; ${allowed}`,
    ],
    'too large by its word': [
      withEntry({ name: 'x', contents: 'x', central: { size: 8_000_001 } }),
      'the archive unpacks to more than the 8000000 bytes allowed',
    ],
    'too large together': [
      buildZip([run, ...['a', 'b', 'c'].map((name) => ({ name, contents: Buffer.alloc(2_700_000) }))]),
      'the archive unpacks to more than the 8000000 bytes allowed',
    ],
    'too compressible': [
      withEntry({ name: 'x', contents: zeros }),
      /^the archive unpacks to 4000011 bytes, more than 50 times its own \d+, which is the most allowed$/,
    ],
    'a bomb that lies': [
      withEntry({ name: 'x', contents: zeros, ...both({ size: 900_000 }) }),
      /^entry "x" is damaged: it unpacks to more than the 900000 bytes/,
    ],
    'two entries with the same bytes': [
      buildZip([
        run,
        { name: 'inner', contents: 'inner', stored: true },
        shared('inner', buildZip([run]).indexOf('PK\x01\x02')),
      ]),
      /^entry "inner" shares bytes of the archive with "inner"; each entry must have its own$/,
    ],
    'an entry inside another': [
      buildZip([run, { name: 'outer', contents: header, stored: true }, shared('inner', quoted.indexOf('inner') - 30)]),
      /^entry "inner" shares bytes of the archive with "outer"; each entry must have its own$/,
    ],
  })
})

test('archives that are none or contradict themselves', async (t) => {
  const whole = buildZip([run, { name: 'x', contents: 'x' }], { comment: Buffer.from('ordinary comment') })
  const none = 'not a whole zip archive: it has no end record, or was cut off before it'
  const misplaced = /^the zip archive contradicts itself: its directory is not where its end record says: /
  const two = 'the zip archive contradicts itself: its comment holds another end record'
  const zip64 = 'the zip archive contradicts itself: its zip64 record and its end record disagree'
  const inner = buildZip([{ name: 'run.sh', contents: 'inner' }])
  await refusesEach(t, {
    nothing: [Buffer.alloc(0), 'not a zip archive: it is empty (0 bytes)'],
    'the start alone': [whole.subarray(0, 60), `${none} (60 bytes arrived)`],
    'without the last byte of its end record': [
      whole.subarray(0, -17),
      `not a whole zip archive: it was cut off in its end record (${whole.length - 17} bytes arrived)`,
    ],
    'without its first byte': [whole.subarray(1), misplaced],
    'an archive in the comment': [buildZip([run], { comment: inner }), two],
    'an end record in the comment': [buildZip([run], { comment: inner.subarray(-22) }), two],
    'a hidden entry': [
      buildZip([run, { name: 'x' }], { count: 1 }),
      /its directory holds other entries than declared$/,
    ],
    'an entry too many': [buildZip([run], { count: 2 }), /^the zip archive cannot be read behind its entry number 1: /],
    'directory elsewhere': [buildZip([run], { directoryStart: 0 }), misplaced],
    'directory of another size': [buildZip([run], { directorySize: 10 }), misplaced],
    'zip64 count': [buildZip([run], { zip64: { count: 7 } }), zip64],
    'zip64 size': [buildZip([run], { zip64: { directorySize: 7 } }), zip64],
    'zip64 start': [buildZip([run], { zip64: { directoryStart: 7 } }), zip64],
    'zip64 alone, elsewhere': [
      buildZip([run], { directoryStart: 0xffffffff, zip64: { directoryStart: 2 ** 40 } }),
      misplaced,
    ],
    'zip64 record elsewhere': [
      buildZip([run], { zip64: { at: 3 } }),
      'the zip archive contradicts itself: its zip64 record is not where its locator says',
    ],
    'zip64 record beyond': [
      buildZip([run], { zip64: { at: 2 ** 52 } }),
      /its zip64 record is not where its locator says$/,
    ],
    'zip64 size of an entry': [
      withEntry({ name: 'x', contents: 'x', central: { size: 0xffffffff, extra: zip64Extra(2n ** 60n) } }),
      'the archive unpacks to more than the 8000000 bytes allowed',
    ],
    'zip64 packed size of an entry': [
      withEntry({ name: 'x', contents: 'x', ...both({ packedSize: 0xffffffff, extra: zip64Extra(2n ** 63n) }) }),
      'entry "x" is damaged: its data runs past its end',
    ],
    'zip64 place of an entry': [
      withEntry({ name: 'x', contents: 'x', central: { offset: 0xffffffff, extra: zip64Extra(2n ** 63n) } }),
      'entry "x" is damaged: its header is not where the directory says',
    ],
    'zip64 field missing': [
      withEntry({ name: 'x', contents: 'x', central: { size: 0xffffffff, extra: zip64Extra() } }),
      /^the zip archive cannot be read behind/,
    ],
    'an entry at another place': [
      withEntry({ name: 'x', contents: 'x', central: { offset: 1 } }),
      /^entry "x" is damaged: its header is not where/,
    ],
    'an entry in the directory': [
      withEntry({ name: 'x', contents: 'x', ...both({ packedSize: 70_000 }) }),
      /^entry "x" is damaged: its data runs past its end$/,
    ],
    'two names': [
      withEntry({ name: 'x', contents: 'x', local: { name: 'y' } }),
      'entry "x" is damaged: its header and the directory name it differently',
    ],
  })
})

test('handlers and functions that cannot be', async (t) => {
  const archive = buildZip([run, { name: 'lib/x' }, link('dangling', 'nothing'), link('folder', 'lib')])
  const cases: Record<string, readonly [Partial<DeployTask>, string]> = {
    'no handler': [{ handler: '' }, 'handler "" has no name'],
    'absolute handler': [{ handler: '/run.sh' }, `handler "/run.sh" ${absolute}`],
    'handler outside': [{ handler: 'lib/../../run.sh' }, `handler "lib/../../run.sh" ${dots}`],
    'handler with NUL': [{ handler: 'run.sh\0' }, `handler "run.sh\\u0000" ${control}`],
    'handler missing': [{ handler: 'nothing-alike' }, 'handler "nothing-alike" is not in the archive'],
    'handler below a file': [{ handler: 'run.sh/main' }, 'handler "run.sh/main" is not in the archive'],
    'handler a folder': [{ handler: 'lib' }, 'handler "lib" is a folder, not a file'],
    'handler a link to a folder': [{ handler: 'folder' }, 'handler "folder" is a folder, not a file'],
    'handler a link to nothing': [{ handler: 'dangling' }, 'handler "dangling" is not in the archive'],
    'function outside': [{ functionName: '..' }, `function name ".." cannot name a folder: it ${dots}`],
    'function a path': [
      { functionName: 'a/b' },
      'function name "a/b" cannot name a folder: it contains a slash or backslash',
    ],
    'function without a name': [{ functionName: '' }, /^function name "" cannot name a folder: /.source],
  }
  for (const [name, [changes, message]] of Object.entries(cases)) {
    await t.test(name, (t) => refuses(t, archive, message.startsWith('^') ? new RegExp(message) : message, changes))
  }
})
