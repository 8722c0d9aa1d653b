import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { buildZip, link, PROGRAM, type ZipEnd, type ZipEntry, zip64Extra } from '../../harness/zip.js'
import { isWindows, makeApps, modeOf, snapshot } from '../workers/deploy/deploy-fixture.js'

const run: ZipEntry = { name: 'run.sh', contents: '#!/bin/sh\n' }

async function accepts(
  t: TestContext,
  entries: readonly ZipEntry[],
  expected: Record<string, string>,
  end?: ZipEnd,
): Promise<void> {
  const apps = await makeApps(t)
  const version = await apps.deployed(buildZip([run, ...entries], end))
  assert.deepEqual(await snapshot(version.dir), { 'run.sh': '#!/bin/sh\n', ...expected })
}

test('an ordinary comment', (t) => accepts(t, [], {}, { comment: Buffer.from('PK made this') }))

test('a zip64 archive that tells the truth', async (t) => {
  const contents = Buffer.from('zip64')
  const extra = zip64Extra(BigInt(contents.length), BigInt(contents.length))
  const entry = { name: 'x', contents, stored: true, central: { size: 0xffffffff, packedSize: 0xffffffff, extra } }
  await accepts(
    t,
    [entry],
    { x: 'zip64' },
    { count: 0xffff, directorySize: 0xffffffff, directoryStart: 0xffffffff, zip64: {} },
  )
})

test('sizes told behind the data', (t) => {
  const packed = deflateRawSync('streamed')
  const descriptor = Buffer.from('PK\x07\x08 crc pks siz ')
  const entry: ZipEntry = {
    name: 'x',
    contents: 'streamed',
    packed: Buffer.concat([packed, descriptor]),
    local: { flags: 0x808, crc32: 0, packedSize: 0, size: 0 },
    central: { flags: 0x808, packedSize: packed.length },
  }
  return accepts(t, [entry, { name: 'y', contents: 'next' }], { x: 'streamed', y: 'next' })
})

test('a small archive may be as compressible as it likes', (t) => {
  const zeros = Buffer.alloc(1_000_000)
  return accepts(t, [{ name: 'zeros', contents: zeros }], { zeros: zeros.toString() })
})

test('an archive made on Windows, with backslashes and code page 437', (t) =>
  accepts(
    t,
    [
      { name: 'lib\\', system: 0, central: { attributes: 0x10 } },
      { name: 'lib\\deep\\data.txt', contents: 'data', system: 0, central: { attributes: 0x20 } },
      { name: Buffer.from('m\x81ll', 'latin1'), contents: 'x', system: 0, local: { flags: 0 }, central: { flags: 0 } },
    ],
    { lib: 'folder', 'lib/deep': 'folder', 'lib/deep/data.txt': 'data', müll: 'x' },
  ))

test('links that stay inside, to nothing too', { skip: isWindows }, (t) => {
  const chain = Array.from({ length: 40 }, (_, index) =>
    link(`chain/${index}`, index === 39 ? '../run.sh' : `${index + 1}`),
  )
  const links = Object.fromEntries(chain.map((entry) => [String(entry.name), `-> ${entry.contents}`]))
  return accepts(
    t,
    [
      link('a/up', '../run.sh'),
      link('a/b/root', '../..'),
      link('here', '.'),
      link('through', 'a/b/root/a/up'),
      link('dangling', 'a/nothing/../x'),
      ...chain,
    ],
    {
      a: 'folder',
      'a/up': '-> ../run.sh',
      'a/b': 'folder',
      'a/b/root': '-> ../..',
      here: '-> .',
      through: '-> a/b/root/a/up',
      dangling: '-> a/nothing/../x',
      chain: 'folder',
      ...links,
    },
  )
})

test('a handler spelled with dots, or reached through links, is made executable', { skip: isWindows }, async (t) => {
  const archive = buildZip([
    { name: 'lib/v2/start.py' },
    link('lib/current', 'v2'),
    link('bin/start', '../lib/current/start.py'),
  ])
  for (const handler of ['./lib/v2/start.py', 'bin/../lib/v2/start.py', 'bin/start', 'lib/current/start.py']) {
    const apps = await makeApps(t)
    const version = await apps.deployed(archive, { handler })
    assert.equal(await modeOf(join(version.dir, 'lib/v2/start.py')), '700', handler)
    assert.equal(await modeOf(join(version.dir, handler === 'bin/start' ? handler : 'bin/start')), '777')
  }
})

const folder = {
  'run.sh': '#!/bin/sh\n',
  'data.txt': 'data',
  lib: 'folder',
  'lib/ünïcode': 'x',
  'lib/large': 'large '.repeat(100_000),
  'lib/link': '-> ../data.txt',
  empty: 'folder',
}

async function makeFolder(dir: string): Promise<void> {
  for (const [name, contents] of Object.entries(folder)) {
    if (contents === 'folder') await mkdir(join(dir, name), { recursive: true })
    else if (contents.startsWith('-> ')) await symlink(contents.slice(3), join(dir, name))
    else await writeFile(join(dir, name), contents)
  }
  await chmod(join(dir, 'run.sh'), 0o755)
}

const utf8 = (tree: Record<string, string>) =>
  Object.fromEntries(Object.entries(tree).map(([name, contents]) => [name, Buffer.from(contents, 'latin1').toString()]))

const missing = (command: string, ...args: string[]) => spawnSync(command, args).status !== 0

for (const [how, command] of Object.entries({
  'to a file': 'zip -q -r -y ../a.zip .',
  'to a pipe': 'zip -q -r -D - . -x lib/link | cat > ../a.zip',
  'stored only': 'zip -q -0 -r -y ../a.zip .',
})) {
  test(`made by Info-ZIP ${how}`, { skip: missing('zip', '-v') && 'zip is not installed' }, async (t) => {
    const apps = await makeApps(t)
    const dir = join(apps.root, 'source')
    await mkdir(dir)
    await makeFolder(dir)
    assert.equal(
      spawnSync('/bin/sh', ['-c', command], { cwd: dir, env: { ...process.env, LC_ALL: 'C.UTF-8' } }).status,
      0,
    )
    const version = await apps.deployed(await readFile(join(apps.root, 'a.zip')))
    const { 'lib/link': link, empty, ...streamable } = folder
    assert.deepEqual(utf8(await snapshot(version.dir)), command.includes('cat') ? streamable : folder)
  })
}

test('made by Python', { skip: missing('python3', '-c', 'import zipfile') && 'Python is not installed' }, async (t) => {
  const apps = await makeApps(t)
  const script = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('run.sh', '#!/bin/sh\\n')
    archive.writestr('lib/', '')
    archive.writestr('lib/ünïcode', 'x')
    with archive.open(zipfile.ZipInfo('lib/large'), 'w', force_zip64=True) as file:
        file.write(b'large ' * 100000)
`
  const path = join(apps.root, 'a.zip')
  assert.equal(spawnSync('python3', ['-c', script, path]).status, 0)
  const version = await apps.deployed(await readFile(path))
  assert.deepEqual(utf8(await snapshot(version.dir)), {
    'run.sh': '#!/bin/sh\n',
    lib: 'folder',
    'lib/ünïcode': 'x',
    'lib/large': 'large '.repeat(100_000),
  })
})

test('a program keeps its executable bits, data has none', { skip: isWindows }, async (t) => {
  const apps = await makeApps(t)
  const { dir } = await apps.deployed(
    buildZip([run, { name: 'tool', mode: PROGRAM }, { name: 'data', mode: 0o100666 }]),
  )
  assert.deepEqual([await modeOf(join(dir, 'tool')), await modeOf(join(dir, 'data'))], ['700', '600'])
})
