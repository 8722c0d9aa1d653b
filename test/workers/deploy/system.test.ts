import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { buildZip } from '../../../harness/zip.js'
import { AS_NOBODY, isRoot, isWindows, makeApps, NOBODY, snapshot } from './deploy-fixture.js'

const good = buildZip([{ name: 'run.sh', contents: 'good' }])
const moduleUrl = new URL('../../../src/workers/deploy/deploy.js', import.meta.url).href

test('a path too long below this folder', { skip: isWindows }, async (t) => {
  const apps = await makeApps(t)
  await apps.deployed(good)
  const before = await snapshot(apps.root)
  const name = Array.from({ length: 41 }, () => 'n'.repeat(98)).join('/')
  assert.match(await apps.refused(buildZip([{ name: 'run.sh' }, { name }])), /^cannot unpack "n+.*": name too long$/)
  assert.deepEqual(await snapshot(apps.root), before)
})

test('a file of somebody else in the way', async (t) => {
  const apps = await makeApps(t)
  await mkdir(join(apps.appsDir, 'hello'), { recursive: true })
  await writeFile(join(apps.appsDir, 'hello', 'versions'), 'not ours')
  const before = await snapshot(apps.root)
  assert.match(await apps.refused(good), /^cannot deploy "hello": (not a directory|file already exists)$/)
  assert.deepEqual(await snapshot(apps.root), before)
})

test('a switch that fails', async (t) => {
  const apps = await makeApps(t)
  await mkdir(join(apps.appsDir, 'hello', 'versions', 'current'), { recursive: true })
  const before = await snapshot(apps.root)
  assert.match(await apps.refused(good), /^cannot deploy "hello": /)
  assert.deepEqual(await snapshot(apps.root), before)
})

test('a disk that is full, by small files and by a large one', { skip: !isRoot }, async (t) => {
  const apps = await makeApps(t)
  await mkdir(apps.appsDir)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', apps.appsDir]).status !== 0)
    return t.skip('cannot mount')
  try {
    await apps.deployed(good)
    const before = await snapshot(apps.root)
    const small = Array.from({ length: 20 }, (_, index) => ({ name: `small/${index}`, contents: randomBytes(100_000) }))
    for (const [contents, name] of [
      [small, 'small/\\d+'],
      [[{ name: 'large', contents: randomBytes(2_000_000) }], 'large'],
    ] as const) {
      const message = await apps.refused(buildZip([{ name: 'run.sh' }, ...contents]))
      assert.match(message, new RegExp(`^cannot unpack "${name}": no space left on device$`))
      assert.deepEqual(await snapshot(apps.root), before)
    }
  } finally {
    spawnSync('umount', [apps.appsDir])
  }
  return undefined
})

test("an apps folder that is not the agent's any more", { skip: !isRoot }, async (t) => {
  const apps = await makeApps(t)
  const outside = join(apps.root, 'outside')
  const expected = new RegExp(`^${apps.appsDir} is not the folder that the agent has made: start the agent again`)
  await symlink(outside, apps.appsDir)
  assert.match(await apps.refused(good, { users: AS_NOBODY }), expected)
  await rm(apps.appsDir)
  await mkdir(apps.appsDir)
  await chown(apps.appsDir, NOBODY.uid, NOBODY.gid)
  assert.match(await apps.refused(good, { users: AS_NOBODY }), expected)
  assert.deepEqual(await snapshot(outside), { secret: 'untouched' })
  assert.deepEqual(await snapshot(apps.appsDir), {})
})

test('a folder the agent may not write to', { skip: !isRoot }, async (t) => {
  const apps = await makeApps(t)
  await mkdir(apps.appsDir)
  process.seteuid?.(NOBODY.uid)
  t.after(() => process.seteuid?.(0))
  const message = await apps.refused(good)
  process.seteuid?.(0)
  assert.equal(message, 'cannot deploy "hello": permission denied')
  assert.deepEqual(await snapshot(apps.appsDir), {})
})

test('a large archive is unpacked in bounded memory', async (t) => {
  const apps = await makeApps(t)
  const contents = Buffer.alloc(40_000_000)
  for (let start = 0; start < contents.length; start += 1000) randomBytes(200).copy(contents, start)
  const packed = deflateRawSync(contents, { level: 1 })
  const large = ['a', 'b', 'c', 'd'].map((name) => ({ name, contents, packed }))
  await writeFile(join(apps.root, 'large.zip'), buildZip([{ name: 'run.sh' }, ...large]))
  await writeFile(join(apps.root, 'small.zip'), good)
  const limits = { maxEntries: 10, maxBytes: 200_000_000, maxRatio: 100 }
  const child = `
import { readFileSync } from 'node:fs'
const { prepare } = await import(${JSON.stringify(moduleUrl)})
const task = (name) => ({ functionName: name, handler: 'run.sh', archive: readFileSync(name + '.zip'), appsDir: 'apps', users: { kind: 'agent' }, cachesDir: 'caches', codeCache: false, limits: ${JSON.stringify(limits)} })
await prepare(task('small'))
const large = task('large')
const before = process.resourceUsage().maxRSS
const { kind, version } = await prepare(large)
console.log(JSON.stringify({ kind, dir: version?.dir, grownKiB: process.resourceUsage().maxRSS - before }))
`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', child], {
    cwd: apps.root,
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  const { kind, dir, grownKiB } = JSON.parse(stdout)
  t.diagnostic(`${grownKiB} KiB more for 160 MB unpacked`)
  assert.equal(kind, 'prepared')
  assert.ok(grownKiB < 48 * 1024, `${grownKiB} KiB`)
  assert.ok((await readFile(join(dir, 'd'))).equals(contents))
})
