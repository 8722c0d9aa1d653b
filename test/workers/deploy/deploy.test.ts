import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildZip, FOLDER, LINK, PROGRAM } from '../../../harness/zip.js'
import { removeVersion } from '../../../src/workers/deploy/deploy.js'
import {
  AS_NOBODY,
  check,
  clean,
  deploy,
  isRoot,
  isWindows,
  makeApps,
  modeOf,
  NOBODY,
  snapshot,
} from './deploy-fixture.js'

const hello = buildZip([{ name: 'run.sh', contents: '#!/bin/sh\necho hello\n' }])
const goodbye = buildZip([{ name: 'run.sh', contents: '#!/bin/sh\necho goodbye\n' }])

test('files and folders come out as they went in', async (t) => {
  const apps = await makeApps(t)
  const large = Buffer.alloc(3 * 1024 * 1024, 'large file ')
  const version = await apps.deployed(
    buildZip([
      { name: 'run.sh', contents: '#!/bin/sh\n' },
      { name: 'empty', contents: '' },
      { name: 'empty folder/', mode: FOLDER },
      { name: 'lib/deep/er/ünïcode.txt', contents: 'ü' },
      { name: 'stored', contents: 'as it is', stored: true },
      { name: 'large', contents: large },
      { name: 'large stored', contents: large, stored: true },
      { name: 'no mode', contents: 'by its name', system: 0, mode: LINK },
    ]),
  )
  assert.deepEqual(await snapshot(version.dir), {
    'run.sh': '#!/bin/sh\n',
    empty: '',
    'empty folder': 'folder',
    lib: 'folder',
    'lib/deep': 'folder',
    'lib/deep/er': 'folder',
    'lib/deep/er/ünïcode.txt': Buffer.from('ü').toString('latin1'),
    stored: 'as it is',
    large: large.toString(),
    'large stored': large.toString(),
    'no mode': 'by its name',
  })
})

test('one top folder is not unwrapped: the handler is relative to the root of the archive', async (t) => {
  const apps = await makeApps(t)
  const archive = buildZip([{ name: 'app/run.sh', contents: 'x' }])
  const version = await apps.deployed(archive, { handler: 'app/run.sh' })
  assert.deepEqual(Object.keys(await snapshot(version.dir)), ['app', 'app/run.sh'])
  assert.equal(await apps.refused(archive), 'handler "run.sh" is not in the archive; did you mean "app/run.sh"?')
})

test('the same archive again is unchanged and unpacks nothing', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(hello)
  await writeFile(join(version.dir, 'marker'), '')
  assert.deepEqual(await deploy(apps.task(hello)), { kind: 'unchanged', version, warnings: [] })
  assert.ok(existsSync(join(version.dir, 'marker')))
})

test('the same archive with a handler that was no program is unpacked again; with one it lacks, refused', {
  skip: isWindows,
}, async (t) => {
  const apps = await makeApps(t)
  const archive = buildZip([{ name: 'run.sh' }, { name: 'other.sh' }])
  const first = await apps.deployed(archive)
  const second = await apps.deployed(archive, { handler: 'other.sh' })
  assert.notEqual(second.dir, first.dir)
  assert.equal(await modeOf(join(second.dir, 'other.sh')), '700')
  assert.equal(await modeOf(join(first.dir, 'other.sh')), '600')
  assert.equal(await apps.refused(archive, { handler: 'third.sh' }), 'handler "third.sh" is not in the archive')
})

test('a new version leaves the old one to those who use it, until it is removed', async (t) => {
  const apps = await makeApps(t)
  const old = await apps.deployed(hello)
  const current = await apps.deployed(goodbye)
  assert.match(await readFile(join(old.dir, 'run.sh'), 'utf8'), /hello/)
  assert.match(await readFile(join(current.dir, 'run.sh'), 'utf8'), /goodbye/)

  const { cachesDir } = check(apps.appsDir)
  const remove = (versionDir: string) => removeVersion({ versionDir, cachesDir })
  await assert.rejects(remove(current.dir), /still serves/)
  await assert.rejects(remove(join(apps.appsDir, 'hello')), /not the folder of a version/)
  await remove(old.dir)
  assert.equal(existsSync(old.dir), false)
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version: current }])
})

test('going back to an earlier archive makes a version of its own', async (t) => {
  const apps = await makeApps(t)
  const first = await apps.deployed(hello)
  await apps.deployed(goodbye)
  const again = await apps.deployed(hello)
  assert.notEqual(again.dir, first.dir)
  assert.equal(again.digest, first.digest)
})

test('functions do not wait for one another', async (t) => {
  const apps = await makeApps(t)
  const large = buildZip([{ name: 'run.sh' }, { name: 'noise', contents: Buffer.alloc(40_000_000, 'slow ') }])
  const ended: string[] = []
  await Promise.all(
    [large, hello].map(async (archive) => {
      const functionName = archive === large ? 'large' : 'small'
      await apps.deployed(archive, { functionName, limits: { maxEntries: 10, maxBytes: 50_000_000, maxRatio: 2000 } })
      ended.push(functionName)
    }),
  )
  assert.deepEqual(ended, ['small', 'large'])
})

test('the bytes may be any view of memory', async (t) => {
  const apps = await makeApps(t)
  const around = new Uint8Array(hello.length + 20).fill(7)
  around.set(hello, 10)
  const version = await apps.deployed(hello)
  const result = await deploy({ ...apps.task(hello), archive: around.subarray(10, 10 + hello.length) })
  assert.deepEqual(result, { kind: 'unchanged', version, warnings: [] })
})

test('setuid, setgid and sticky bits go, and only programs are executable', { skip: isWindows }, async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(
    buildZip([
      { name: 'run.sh', mode: 0o100600 },
      { name: 'setuid', mode: 0o106755 },
      { name: 'sticky', mode: 0o101666 },
      { name: 'macos', mode: PROGRAM, system: 19 },
      { name: 'windows', mode: PROGRAM, system: 0 },
      { name: 'folder/', mode: 0o043777 },
    ]),
  )
  const modes = await Promise.all(
    (await readdir(version.dir)).map(async (name) => [name, await modeOf(join(version.dir, name))]),
  )
  assert.deepEqual(Object.fromEntries(modes), {
    'run.sh': '700',
    setuid: '700',
    sticky: '600',
    macos: '700',
    windows: '600',
    folder: '700',
  })
})

test('the runner may read and run its code and nobody may change it', { skip: !isRoot }, async (t) => {
  const apps = await makeApps(t)
  await chmod(apps.root, 0o755)
  const archive = buildZip([
    { name: 'run.sh', contents: '#!/bin/sh\ncat lib/data "$0"\n' },
    { name: 'lib/data', contents: 'data\n' },
  ])
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  const { dir } = await apps.deployed(archive, { users: AS_NOBODY })
  for (const [path, mode] of [
    [apps.appsDir, '750'],
    [join(apps.appsDir, 'hello'), '751'],
    [join(apps.appsDir, 'hello', 'versions'), '751'],
    [dir, '750'],
    [join(dir, 'lib'), '750'],
    [join(dir, 'run.sh'), '750'],
    [join(dir, 'lib', 'data'), '640'],
  ] as const) {
    assert.equal(await modeOf(path), mode, path)
    const { uid, gid } = await stat(path)
    assert.deepEqual({ uid, gid }, { uid: 0, gid: NOBODY.gid }, path)
  }
  assert.match(
    execFileSync(join(dir, 'run.sh'), { cwd: dir, uid: NOBODY.uid, gid: NOBODY.gid, encoding: 'utf8' }),
    /^data\n/,
  )
  for (const attempt of [
    'echo x > run.sh',
    'rm run.sh',
    'touch new',
    'chmod 777 .',
    'mv lib bil',
    'touch ../new',
    'mv ../../../hello ../../../x',
  ]) {
    const tried = spawnSync('/bin/sh', ['-c', attempt], { cwd: dir, uid: NOBODY.uid, gid: NOBODY.gid })
    assert.notEqual(tried.status, 0, attempt)
  }
  assert.notEqual(spawnSync('/bin/cat', ['run.sh'], { cwd: dir, uid: 65533, gid: 65533 }).status, 0)
})

test('a version from before there was a runner, or of another one, is unpacked again for it', {
  skip: !isRoot,
}, async (t) => {
  const apps = await makeApps(t)
  await apps.deployed(hello)
  const version = await apps.deployed(hello, { users: AS_NOBODY })
  assert.deepEqual(await deploy(apps.task(hello, { users: AS_NOBODY })), { kind: 'unchanged', version, warnings: [] })
  await apps.deployed(hello, { users: { kind: 'shared', runAs: { ...NOBODY, gid: 65533 } } })
})

test('an app of the earlier agent keeps its files', async (t) => {
  const apps = await makeApps(t)
  const app = join(apps.appsDir, 'hello')
  await mkdir(join(app, 'lib'), { recursive: true })
  await writeFile(join(app, 'run.sh'), 'earlier')
  await writeFile(join(app, 'lib', 'data'), 'earlier')
  const version = await apps.deployed(hello)
  await clean(apps.appsDir)
  assert.equal(await readFile(join(app, 'run.sh'), 'utf8'), 'earlier')
  assert.equal(await readFile(join(app, 'lib', 'data'), 'utf8'), 'earlier')
  assert.ok((await lstat(join(version.dir, 'run.sh'))).isFile())
})

test('a handler that cannot start here is deployed with a warning that says why', { skip: isWindows }, async (t) => {
  const apps = await makeApps(t)
  const warned = async (contents: string, handler: string) => {
    const result = await deploy(apps.task(buildZip([{ name: handler, contents, mode: PROGRAM }]), { handler }))
    return result.kind === 'deployed' ? result.warnings : result
  }
  assert.deepEqual(await warned('#!/nowhere/ruby\n', 'bin/app'), [
    'interpreter /nowhere/ruby of bin/app does not exist',
  ])
  assert.deepEqual(await warned('#!./run\n', 'bin/run'), [
    'interpreter ./run of bin/run is a script that it interprets itself',
  ])
  assert.deepEqual(await warned('MZ', 'app.exe'), [
    'app.exe is a program for Windows, which Linux does not run: build it for Linux',
  ])
  assert.deepEqual(await warned('#!/bin/sh\n', 'run.sh'), [])
})
