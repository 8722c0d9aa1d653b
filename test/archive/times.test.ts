import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { both, buildZip, extraField, FOLDER, type HeaderFields, PROGRAM, type ZipEntry } from '../../harness/zip.js'
import { isWindows, makeApps, modeOf } from '../workers/deploy/deploy-fixture.js'

/** 2021-03-04 05:06:08. */
const dos = { dosDate: (41 << 9) | (3 << 5) | 4, dosTime: (5 << 11) | (6 << 5) | 4 }
const dosSeconds = Date.UTC(2021, 2, 4, 5, 6, 8) / 1000
const earliest = Date.UTC(1980, 0, 1) / 1000

function extended(seconds: number, flags = 1): Buffer {
  const data = Buffer.alloc(5)
  data.writeUInt8(flags)
  data.writeInt32LE(seconds, 1)
  return extraField(0x5455, data)
}

function unix(seconds: number): Buffer {
  const data = Buffer.alloc(8)
  data.writeInt32LE(7, 0)
  data.writeInt32LE(seconds, 4)
  return extraField(0x5855, data)
}

function ntfs(seconds: number): Buffer {
  const data = Buffer.alloc(32)
  data.writeUInt16LE(1, 4)
  data.writeUInt16LE(24, 6)
  data.writeBigUInt64LE(BigInt(seconds + 11_644_473_600) * 10_000_000n + 9_999_999n, 8)
  return extraField(0x000a, data)
}

const secondsOf = (path: string) => Math.floor(statSync(path).mtimeMs / 1000)

test('files have the times of the archive', async (t) => {
  const cases: Record<string, readonly [Partial<ZipEntry>, number]> = {
    'as MS-DOS has them': [both(dos), dosSeconds],
    'to the second': [both({ ...dos, extra: extended(1_600_000_001) }), 1_600_000_001],
    'to the second, in its own header alone': [{ local: { extra: extended(1_600_000_001) } }, 1_600_000_001],
    'before 1970': [both({ extra: extended(-86_401) }), -86_401],
    "the Finder's": [both({ ...dos, extra: unix(1_600_000_003) }), 1_600_000_003],
    "Windows'": [both({ ...dos, extra: ntfs(1_600_000_005) }), 1_600_000_005],
    none: [both({ dosDate: 0, dosTime: 0 }), earliest],
    'a 30th of February': [both({ dosDate: (41 << 9) | (2 << 5) | 30 }), earliest],
    'an hour 25': [both({ ...dos, dosTime: 25 << 11 }), earliest],
    'an extra field without a time': [both({ ...dos, extra: extended(5, 2) }), dosSeconds],
  }
  for (const [name, [entry, seconds]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      const large = Buffer.alloc(300_000)
      const { dir } = await apps.deployed(
        buildZip([
          { name: 'run.sh', ...entry },
          { name: 'large', contents: large, ...entry },
          { name: 'lib/', mode: FOLDER, ...entry },
          { name: 'lib/x', ...entry },
        ]),
        { limits: { maxEntries: 10, maxBytes: 1_000_000, maxRatio: 10_000 } },
      )
      for (const file of ['run.sh', 'large', 'lib/x', 'lib']) assert.equal(secondsOf(join(dir, file)), seconds, file)
    })
  }
})

test('scripts and native programs can be run, whatever the archive says', { skip: isWindows }, async (t) => {
  const apps = await makeApps(t)
  const script = '#!/bin/sh\n'
  const { dir } = await apps.deployed(
    buildZip([
      { name: 'run.sh', contents: script },
      { name: 'from-windows', contents: script, system: 0 },
      { name: 'without-x', contents: script, mode: 0o100644 },
      { name: 'native', contents: '\x7fELF\x02', system: 0 },
      { name: 'large', contents: Buffer.concat([Buffer.from(script), Buffer.alloc(300_000)]), system: 0 },
      { name: 'text', contents: '# no program', system: 0 },
      { name: 'short', contents: '#', system: 0 },
      { name: 'said-so', contents: 'data', mode: PROGRAM },
    ]),
    { limits: { maxEntries: 10, maxBytes: 1_000_000, maxRatio: 10_000 } },
  )
  for (const [name, mode] of Object.entries({
    'from-windows': '700',
    'without-x': '700',
    native: '700',
    large: '700',
    text: '600',
    short: '600',
    'said-so': '700',
  })) {
    assert.equal(await modeOf(join(dir, name)), mode, name)
  }
})

const pythonIsMissing = spawnSync('python3', ['-c', 'import zipfile']).status !== 0

/** A package with bytecode compiled at sources with these times; zipped by a command in its folder. */
async function deployPackage(t: TestContext, command: readonly string[], zone: string) {
  const apps = await makeApps(t)
  const source = join(apps.root, 'source')
  mkdirSync(join(source, 'lib'), { recursive: true })
  writeFileSync(join(source, 'run.sh'), '#!/bin/sh\n')
  // An odd second, which MS-DOS's times do not have, and one in summer, which has other hours in many zones.
  for (const [name, seconds] of [
    ['even', 1_700_000_000],
    ['odd', 1_700_000_001],
    ['summer', 1_690_000_001],
  ] as const) {
    const path = join(source, 'lib', `${name}.py`)
    writeFileSync(path, `name = ${JSON.stringify(name)}\n`)
    utimesSync(path, seconds, seconds)
  }
  writeFileSync(join(source, 'lib', '__init__.py'), '')
  const env = { ...process.env, TZ: zone }
  const made = (program: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(program, args, { cwd: source, env, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
  made('python3', '-m', 'compileall', '-q', 'lib')
  made(...(command as [string, ...string[]]))
  return apps.deployed(readFileSync(join(apps.root, 'a.zip')))
}

/** What Python says of each module's bytecode when it imports it. */
function bytecodeIn(dir: string): Record<string, string> {
  const { stderr } = spawnSync('python3', ['-B', '-v', '-c', 'import lib.even, lib.odd, lib.summer'], {
    cwd: dir,
    encoding: 'utf8',
  })
  const found: Record<string, string> = {}
  for (const [, name = ''] of stderr.matchAll(/ matches (\S+)\.py$/gm)) {
    if (name.startsWith(join(dir, 'lib'))) found[basename(name)] = 'matches'
  }
  for (const [, name = ''] of stderr.matchAll(/bytecode is stale for 'lib\.(\w+)'/g)) found[name] = 'stale'
  return found
}

for (const [how, command, zone] of [
  ['Info-ZIP', ['zip', '-qr', '../a.zip', '.'], 'Europe/Berlin'],
  ["Python's zipfile", ['python3', '-m', 'zipfile', '-c', '../a.zip', 'run.sh', 'lib'], 'Europe/Berlin'],
  [
    "Python's zipfile, at half an hour from UTC",
    ['python3', '-m', 'zipfile', '-c', '../a.zip', 'run.sh', 'lib'],
    'Asia/Kolkata',
  ],
  ["Python's shutil", ['python3', '-c', 'import shutil; shutil.make_archive("../a", "zip")'], 'America/St_Johns'],
] as const) {
  const missing = pythonIsMissing || spawnSync(command[0], ['--help']).status !== 0
  test(`bytecode is not stale in an archive made by ${how}`, { skip: missing && 'not installed' }, async (t) => {
    const { dir } = await deployPackage(t, command, zone)
    assert.deepEqual(bytecodeIn(dir), { __init__: 'matches', even: 'matches', odd: 'matches', summer: 'matches' })
  })
}

/** Bytecode as Python writes it, of a source with this time and size. */
function bytecode(seconds: number, size: number): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16LE(3531, 0)
  header.writeUInt16LE(0x0a0d, 2)
  header.writeUInt32LE(seconds, 8)
  header.writeUInt32LE(size, 12)
  return header
}

test('bytecode that is stale in the archive stays so', async (t) => {
  const cases: Record<string, readonly [seconds: number, size: number, time: HeaderFields, expected: number]> = {
    'the odd second that was lost': [dosSeconds + 1, 1, dos, dosSeconds + 1],
    'in a zone to the east': [dosSeconds + 1 - 5.75 * 3600, 1, dos, dosSeconds + 1 - 5.75 * 3600],
    'two seconds later': [dosSeconds + 2, 1, dos, dosSeconds],
    'a second earlier': [dosSeconds - 1, 1, dos, dosSeconds],
    'of another size': [dosSeconds + 1, 2, dos, dosSeconds],
    'of another day': [dosSeconds + 1 + 25 * 3600, 1, dos, dosSeconds],
    'where the time is exact': [1_600_000_001, 1, { ...dos, extra: extended(1_600_000_000) }, 1_600_000_000],
  }
  for (const [name, [seconds, size, time, expected]] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const apps = await makeApps(t)
      const { dir } = await apps.deployed(
        buildZip([
          { name: 'run.sh' },
          { name: 'lib/__pycache__/x.cpython-312.pyc', contents: bytecode(seconds, size) },
          { name: 'lib/x.py', contents: '#', ...both(time) },
        ]),
      )
      assert.equal(secondsOf(join(dir, 'lib/x.py')), expected)
    })
  }
})
