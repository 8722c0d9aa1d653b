import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { crc32, deflateRawSync } from 'node:zlib'
import {
  both,
  buildZip,
  extraField,
  FOLDER,
  type HeaderFields,
  link,
  type ZipEntry,
  zip64Extra,
} from '../../harness/zip.js'
import { encodingHint } from '../../src/archive/encodings.js'
import { deploy, isWindows, makeApps, snapshot } from '../workers/deploy/deploy-fixture.js'

const run: ZipEntry = { name: 'run.sh', contents: '#!/bin/sh\n' }

/** Without UTF-8's flag. */
const unflagged = both({ flags: 0 })
const onWindows = { system: 0, ...unflagged }

async function taken(
  t: TestContext,
  cases: Readonly<Record<string, readonly [readonly ZipEntry[], Record<string, string>]>>,
): Promise<void> {
  for (const [name, [entries, expected]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      const { dir } = await apps.deployed(buildZip([run, ...entries]))
      const { 'run.sh': _, ...found } = await snapshot(dir)
      assert.deepEqual(found, expected)
    })
  }
}

async function refused(
  t: TestContext,
  cases: Readonly<Record<string, readonly [ZipEntry | readonly ZipEntry[], string]>>,
): Promise<void> {
  for (const [name, [entries, message]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      assert.equal(await apps.refused(buildZip([run].concat(entries))), message)
    })
  }
}

test('folders as tools list them', async (t) => {
  const meta: ZipEntry = { name: 'META-INF/', mode: FOLDER }
  await taken(t, {
    'a folder twice, as in merged jars': [
      [meta, { name: 'META-INF/a' }, meta, { name: 'META-INF/b' }],
      { 'META-INF': 'folder', 'META-INF/a': '', 'META-INF/b': '' },
    ],
    'a folder in two spellings': [[meta, { name: './META-INF//', mode: FOLDER }], { 'META-INF': 'folder' }],
    "a folder with its disk's size": [
      [{ name: 'lib/', mode: FOLDER, stored: true, ...both({ size: 4096 }) }],
      { lib: 'folder' },
    ],
    'a deflated folder': [
      [{ name: 'lib/', mode: FOLDER, stored: false, packed: deflateRawSync('') }],
      { lib: 'folder' },
    ],
    'the folder itself': [[{ name: './', mode: FOLDER }], {}],
    'spellings of plain names': [
      [{ name: './a' }, { name: 'b//c' }, { name: 'b/./d' }, { name: './/./e/' + '/f' }],
      { a: '', b: 'folder', 'b/c': '', 'b/d': '', e: 'folder', 'e/f': '' },
    ],
  })
  await refused(t, {
    'a file in two spellings': [
      [{ name: 'a/b' }, { name: 'a/./b' }],
      'entry "a/./b" has the same name as another file of the archive, "a/b"',
    ],
    'a folder by its mode, with contents': [
      { name: 'a', mode: FOLDER, contents: 'x' },
      'entry "a" is a folder by its mode and a file by its name',
    ],
  })
})

test('an empty file that is deflated', (t) =>
  taken(t, {
    'to two bytes': [[{ name: 'x', stored: false, packed: deflateRawSync('') }], { x: '' }],
    'to five': [[{ name: 'x', stored: false, packed: deflateRawSync('', { level: 0 }) }], { x: '' }],
    'to none': [[{ name: 'x', stored: false, packed: Buffer.alloc(0) }], { x: '' }],
  }))

test('backslashes and colons', { skip: isWindows }, async (t) => {
  await taken(t, {
    'a backslash from Unix': [
      [
        { name: 'dev-disk-by\\x2duuid.swap', contents: 'x' },
        { name: 'lib\\x' },
        { name: '\\\\server\\share' },
        { name: 'C:\\x' },
        { name: '..\\x' },
      ],
      { 'dev-disk-by\\x2duuid.swap': 'x', 'lib\\x': '', '\\\\server\\share': '', 'C:\\x': '', '..\\x': '' },
    ],
    'links with backslashes and colons': [
      [{ name: 'a\\b' }, link('l', 'a\\b'), link('C:d', 'C:x')],
      { 'a\\b': '', l: '-> a\\b', 'C:d': '-> C:x' },
    ],
    'a backslash from Windows': [[{ name: 'lib\\x', ...onWindows }], { lib: 'folder', 'lib/x': '' }],
    colons: [
      [{ name: 'a:b' }, { name: 'c:/d' }, { name: 'e:f', system: 0 }, { name: '12:30.log', system: 0 }],
      { 'a:b': '', 'c:': 'folder', 'c:/d': '', 'e:f': '', '12:30.log': '' },
    ],
  })
  const absolute = 'is an absolute path; only paths relative to the archive are allowed'
  await refused(t, {
    'a drive of Windows': [{ name: 'C:\\x', ...onWindows }, `entry "C:\\\\x" ${absolute}`],
    'a drive of Windows, by slashes': [{ name: 'c:/x', ...onWindows }, `entry "c:/x" ${absolute}`],
    'a share of Windows': [{ name: '\\\\server\\share', ...onWindows }, `entry "\\\\\\\\server\\\\share" ${absolute}`],
    'two names of Windows for one file': [
      [
        { name: 'a\\b', ...onWindows },
        { name: 'a/b', ...onWindows },
      ],
      'entry "a/b" has the same name as another file of the archive, "a\\\\b"',
    ],
    'a file below another, by its name of Windows': [
      [
        { name: 'a\\b', ...onWindows },
        { name: 'a\\b\\c', ...onWindows },
      ],
      'entry "a\\\\b\\\\c" lies below "a\\\\b", which is a file',
    ],
    'up, by backslashes of Windows': [
      { name: 'a\\..\\..\\x', ...onWindows },
      'entry "a\\\\..\\\\..\\\\x" contains ".."; only paths that stay inside the archive are allowed',
    ],
  })
})

test('what macOS keeps for itself is left out', async (t) => {
  const fork = Buffer.from([0, 5, 0x16, 7])
  await taken(t, {
    'by its Finder': [
      [
        { name: 'Icon\r', ...unflagged },
        { name: 'lib/Icon\r' },
        { name: '.DS_Store', contents: fork },
        { name: 'lib/.DS_Store' },
        { name: 'lib/x' },
        { name: 'Icon' },
      ],
      { lib: 'folder', 'lib/x': '', Icon: '' },
    ],
    'apart from its files': [
      [
        { name: '__MACOSX/', mode: FOLDER },
        { name: '__MACOSX/._run.sh', contents: fork },
        { name: '__MACOSX/lib/._x' },
        { name: '__MACOSX/._Icon\r' },
      ],
      {},
    ],
    'beside its files': [
      [{ name: 'lib/._x', contents: fork }, { name: '._run.sh', contents: fork }, { name: 'lib/x' }, { name: '._lib' }],
      { lib: 'folder', 'lib/x': '', '._lib': '' },
    ],
    'and nothing that is only called alike': [
      [{ name: '._config' }, { name: 'x.DS_Store' }, { name: 'x__MACOSX/y' }, { name: 'Iconic' }],
      { '._config': '', 'x.DS_Store': '', x__MACOSX: 'folder', 'x__MACOSX/y': '', Iconic: '' },
    ],
  })
  await refused(t, {
    'in no other name': [
      { name: 'Icons\r' },
      'entry "Icons\\r" contains control characters; only printable names are allowed',
    ],
  })
})

/** `テスト.sh`, and the one of its letters whose second byte is a backslash's. */
const japanese = Buffer.from([0x83, 0x65, 0x83, 0x58, 0x83, 0x67, 0x2e, 0x73, 0x68])
const backslash = Buffer.from([0x83, 0x5c, 0x2e, 0x73, 0x68])

function unicodePath(name: Buffer | string, unicode: string, crc = crc32(name)): Buffer {
  const data = Buffer.alloc(5)
  data.writeUInt8(1)
  data.writeUInt32LE(crc, 1)
  return extraField(0x7075, Buffer.concat([data, Buffer.from(unicode)]))
}

test('names in other encodings', async (t) => {
  const umlaut = Buffer.from('m\x81ll', 'latin1')
  const other = 'by its field for Unicode names; both must name one file'
  await taken(t, {
    'code page 437': [[{ name: umlaut, ...onWindows }], { müll: '' }],
    'UTF-8 without its flag, from Windows': [[{ name: 'müll', ...onWindows }], { müll: '' }],
    'a Unicode name beside': [
      [{ name: umlaut, ...onWindows, ...both({ flags: 0, extra: unicodePath(umlaut, 'müll') }) }],
      { müll: '' },
    ],
    'a Unicode name beside one with an escape': [
      [{ name: 'm#U00fcll', ...both({ flags: 0, extra: unicodePath('m#U00fcll', 'müll') }) }],
      { müll: '' },
    ],
    'a Unicode name beside one with marks': [
      [{ name: '???.sh', ...both({ flags: 0, extra: unicodePath('???.sh', 'テスト.sh') }) }],
      { 'テスト.sh': '' },
    ],
    'a Unicode name that says the same': [
      [{ name: 'müll', ...both({ extra: unicodePath('müll', 'müll') }) }],
      { müll: '' },
    ],
  })
  await refused(t, {
    'Shift_JIS from Unix': [
      { name: japanese, ...unflagged },
      'entry "\uFFFDe\uFFFDX\uFFFDg.sh" is not valid UTF-8 (it could be "テスト.sh" in shift_jis or "僥僗僩.sh" in gbk); only UTF-8 is allowed',
    ],
    'a backslash within a letter': [
      { name: backslash, ...onWindows },
      'entry "â\\\\.sh" has a backslash behind a byte that is not ASCII, and does not say in which encoding (it could be "ソ.sh" in shift_jis or "僜.sh" in gbk); make the zip with names in UTF-8',
    ],
    'another Unicode name': [
      { name: 'innocent', ...both({ flags: 0, extra: unicodePath('innocent', 'evil') }) },
      `entry "innocent" is named "evil" ${other}`,
    ],
    'another Unicode name, though UTF-8 is flagged': [
      { name: 'müll', ...both({ extra: unicodePath('müll', 'möll') }) },
      `entry "müll" is named "möll" ${other}`,
    ],
    'a Unicode name with another folder': [
      { name: 'a_b', ...both({ flags: 0, extra: unicodePath('a_b', 'a/ü') }) },
      `entry "a_b" is named "a/ü" ${other}`,
    ],
    'a Unicode name of another name': [
      { name: 'new', ...both({ extra: unicodePath('new', 'old', crc32('old')) }) },
      `entry "new" is named "old" ${other}`,
    ],
    'another Unicode name in its own header': [
      { name: 'x', local: { extra: unicodePath('x', 'ü') } },
      `entry "x" is named "ü" ${other}`,
    ],
  })
})

test('names that had to be guessed are told', async (t) => {
  const apps = await makeApps(t)
  const archive = buildZip([
    run,
    { name: japanese, ...onWindows },
    { name: Buffer.concat([Buffer.from('2'), japanese]), ...onWindows },
  ])
  const result = await deploy(apps.task(archive))
  assert.equal(result.kind, 'deployed')
  const warning =
    'entry "âeâXâg.sh" does not say in which encoding its name is, and was read as code page 437 (it could be "テスト.sh" in shift_jis or "僥僗僩.sh" in gbk); so were 1 more'
  assert.deepEqual(result.kind === 'deployed' && result.warnings, [warning])
  assert.equal(
    await apps.refused(archive, { handler: 'テスト.sh', functionName: 'other' }),
    `handler "テスト.sh" is not in the archive; ${warning}`,
  )
})

test('headers that say something else than the directory', async (t) => {
  const says = (text: string) => `entry "x" is damaged: its header and the directory ${text}`
  const entry = (local: HeaderFields, changes: Partial<ZipEntry> = {}) => ({
    name: 'x',
    contents: 'data',
    local,
    ...changes,
  })
  const deflated = deflateRawSync('data').length
  await refused(t, {
    name: [entry({ name: 'y' }), says('name it differently')],
    method: [entry({ method: 0 }), says('do not agree how it is compressed (methods 0 and 8)')],
    encryption: [entry({ flags: 0x801 }), says('do not agree whether it is encrypted')],
    'packed size': [
      entry({ packedSize: deflated + 1 }),
      says(`do not agree how many bytes it has in the archive (${deflated + 1} and ${deflated})`),
    ],
    size: [entry({ size: 5 }), says('do not agree how many bytes it unpacks to (5 and 4)')],
    'CRC-32': [entry({ crc32: 1 }), says('do not agree on its CRC-32')],
    'zeros, though nothing follows': [
      entry({ size: 0, packedSize: 0 }),
      says(`do not agree how many bytes it has in the archive (0 and ${deflated})`),
    ],
    'another size, though one follows': [
      entry({ size: 7, packedSize: 0, crc32: 0, flags: 0x808 }, { central: { flags: 0x808 } }),
      says('do not agree how many bytes it unpacks to (7 and 4)'),
    ],
    'a zip64 size': [
      entry({ size: 0xffffffff, packedSize: 0xffffffff, extra: zip64Extra(9n, BigInt(deflated)) }),
      says('do not agree how many bytes it unpacks to (9 and 4)'),
    ],
  })
  const data = { x: 'data' }
  await taken(t, {
    'only one flags UTF-8': [[entry({ flags: 0 })], data],
    'one has zip64 sizes': [
      [entry({ size: 0xffffffff, packedSize: 0xffffffff, extra: zip64Extra(4n, BigInt(deflated)) })],
      data,
    ],
    'sizes follow, and are there already': [[entry({ flags: 0x808 }, { central: { flags: 0x808 } })], data],
    'only one says that sizes follow': [[entry({ flags: 0x808, size: 0, packedSize: 0, crc32: 0 })], data],
    'an extra field that is cut off': [
      [entry({ extra: Buffer.from([1, 0, 9]) }, { central: { extra: Buffer.alloc(3) } })],
      data,
    ],
  })
})

test('a handler that is not there names the one that was probably meant', async (t) => {
  const apps = await makeApps(t)
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    [
      'run.sh',
      ['repo-main/README.md', 'repo-main/run.sh', 'repo-main/lib/run.sh'],
      '; did you mean "repo-main/run.sh"?',
    ],
    ['bin/tool', ['pkg-1.0/x/bin/tool'], '; did you mean "pkg-1.0/x/bin/tool"?'],
    ['repo/run.sh', ['run.sh'], '; did you mean "run.sh"?'],
    ['bin/run.sh', ['src/run.sh'], '; did you mean "src/run.sh"?'],
    ['Main.sh', ['main.sh'], '; did you mean "main.sh"?'],
    ['run', ['run.sh'], '; did you mean "run.sh"?'],
    ['run.sh', ['run'], '; did you mean "run"?'],
    ['main.sh', ['Repo/MAIN.sh'], '; did you mean "Repo/MAIN.sh"?'],
    ['handler.py', ['handlr.py', 'other.py'], '; did you mean "handlr.py"?'],
    ['run.sh', ['lib/data', 'index.html'], ''],
    [
      '\u00fcber.sh',
      ['u\u0308ber.sh'],
      '; did you mean "u\u0308ber.sh", whose letters are composed otherwise (Unicode NFC and NFD, as macOS has it)?',
    ],
    [
      'bin/run.sh',
      ['bin\\run.sh'],
      '; did you mean "bin\\\\run.sh", whose backslashes are part of its name: the zip says it was made on Unix?',
    ],
  ]
  for (const [handler, names, hint] of cases) {
    const archive = buildZip(names.map((name) => ({ name })))
    assert.equal(
      await apps.refused(archive, { handler }),
      `handler ${JSON.stringify(handler)} is not in the archive${hint}`,
    )
  }
})

test('the encodings that a name could have are named, the likely ones first', () => {
  for (const [name, hint] of [
    [Buffer.from('gr\xfcn.txt', 'latin1'), ' (it could be "grün.txt" in windows-1252 or "grьn.txt" in windows-1251)'],
    [Buffer.from('afe0a8a2a5e22e747874', 'hex'), '"привет.txt" in ibm866)'],
    [Buffer.from('d6d0cec4cec4bcfe', 'hex'), '"中文文件" in gbk)'],
  ] as const)
    assert.ok(encodingHint(name).endsWith(hint), encodingHint(name))
})
