import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { buildZip } from '../../../harness/zip.js'
import type { PreparedVersion } from '../../../src/threads/messages.js'
import { cleanApps, discard, prepare } from '../../../src/workers/deploy/deploy.js'
import { type Apps, check, clean, deploy, isWindows, makeApps, snapshot } from './deploy-fixture.js'

const good = buildZip([
  { name: 'run.sh', contents: '#!/bin/sh\n' },
  { name: 'lib/data', contents: 'some data' },
])
const moduleUrl = new URL('../../../src/workers/deploy/deploy.js', import.meta.url).href

test('an agent killed while it unpacks leaves the old version, and the next start removes the rest', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  const before = await snapshot(apps.root)
  const count = 20_000
  const files = Array.from({ length: count }, (_, index) => ({ name: `f${index}`, contents: 'x', stored: true }))
  const archive = join(apps.root, 'large.zip')
  await writeFile(archive, buildZip([{ name: 'run.sh' }, ...files]))
  const child = `
import { readFileSync } from 'node:fs'
const { prepare } = await import(${JSON.stringify(moduleUrl)})
const [archive, appsDir] = process.argv.slice(1)
await prepare({ functionName: 'hello', handler: 'run.sh', archive: readFileSync(archive), appsDir, users: { kind: 'agent' }, cachesDir: '/nonexistent', codeCache: false, limits: { maxEntries: 30000, maxBytes: 1e9, maxRatio: 100 } })
`
  const agent = spawn(process.execPath, ['--input-type=module', '-e', child, archive, apps.appsDir], {
    stdio: 'inherit',
  })
  const exit = once(agent, 'exit')
  const versions = join(apps.appsDir, 'hello', 'versions')
  let unpacked: string[] = []
  while (unpacked.length < 10) {
    assert.equal(agent.exitCode, null, 'it was done before it could be killed')
    const half = (await readdir(versions)).find((name) => name !== 'current' && name !== basename(version.dir))
    if (half !== undefined) unpacked = await readdir(join(versions, half))
    await wait(1)
  }
  agent.kill('SIGKILL')
  assert.deepEqual(await exit, [null, 'SIGKILL'])
  assert.ok(unpacked.length < count)
  assert.equal((await readdir(versions)).length, 3)

  assert.deepEqual(await deploy(apps.task(good)), { kind: 'unchanged', version, warnings: [] })
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version }])
  assert.deepEqual(await snapshot(apps.appsDir), await snapshotOf(before))
})

/** Of the apps alone. */
async function snapshotOf(before: Record<string, string>): Promise<Record<string, string>> {
  const entries = Object.entries(before).filter(([name]) => name.startsWith('apps/'))
  return Object.fromEntries(entries.map(([name, contents]) => [name.slice('apps/'.length), contents]))
}

async function prepared(apps: Apps, contents: string, fingerprint: string): Promise<PreparedVersion> {
  const archive = buildZip([{ name: 'run.sh', contents }])
  const result = await prepare(apps.task(archive, { fingerprint }))
  assert.equal(result.kind, 'prepared', JSON.stringify(result))
  return result as PreparedVersion
}

test('an agent killed before the switch leaves code that serves if the settings it came with are stored', async (t) => {
  const apps = await makeApps(t)
  const old = await apps.deployed(good)
  const versions = join(apps.appsDir, 'hello', 'versions')
  const stored = (fingerprint: string) => new Map([['hello', { handler: 'run.sh', fingerprint }]])
  await prepared(apps, 'lost', '0123456789abcdef')
  const start = check(apps.appsDir, { stored: stored('fedcba9876543210') })
  assert.deepEqual((await cleanApps(start)).serving, [{ name: 'hello', version: old }])
  assert.deepEqual((await readdir(versions)).sort(), [basename(old.dir), 'current'].sort())

  const { version } = await prepared(apps, 'stored', 'fedcba9876543210')
  assert.deepEqual((await cleanApps(start)).serving, [{ name: 'hello', version }])
  assert.deepEqual((await readdir(versions)).sort(), [basename(version.dir), 'current'].sort())
  assert.equal(await readFile(join(version.dir, 'run.sh'), 'utf8'), 'stored')
})

test('code that comes to nothing leaves nothing', async (t) => {
  const apps = await makeApps(t)
  await discard(await prepared(apps, 'first', '0123456789abcdef'))
  assert.deepEqual(await snapshot(apps.appsDir), {})
  await apps.deployed(good)
  const before = await snapshot(apps.appsDir)
  await discard(await prepared(apps, 'second', '0123456789abcdef'))
  assert.deepEqual(await snapshot(apps.appsDir), before)
})

test('the start tells of code that has not the handler that is stored', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  const problems = async (handler: string) => {
    const stored = new Map([['hello', { handler, fingerprint: '0123456789abcdef' }]])
    const [serving] = (await cleanApps(check(apps.appsDir, { stored }))).serving
    assert.deepEqual(serving?.version, version)
    return serving?.handlerProblem
  }
  assert.equal(await problems('run.sh'), undefined)
  assert.match((await problems('other.sh')) ?? '', /^handler "other\.sh" is not in the code that is deployed here/)
  assert.match((await problems('lib')) ?? '', /^handler "lib" is not in the code/)
  if (!isWindows) assert.match((await problems('lib/data')) ?? '', /^handler "lib\/data" was no program/)
})

test('the start removes what is ours and half done, and nothing else', async (t) => {
  const apps = await makeApps(t)
  await apps.deployed(good)
  const version = await apps.deployed(buildZip([{ name: 'run.sh', contents: 'newer' }]))
  const versions = join(apps.appsDir, 'hello', 'versions')
  await mkdir(join(versions, '0123456789abcdef-01234567', 'half'), { recursive: true })
  await writeFile(join(versions, '0123456789abcdef-01234567', 'half', 'done'), 'x')
  for (const half of ['current-01234567', 'next-none-01234567', 'next-0123456789abcdef-01234567']) {
    await writeFile(join(versions, half), 'half')
  }
  const strange = {
    'hello/versions/notes.txt': 'x',
    'hello/versions/v1/file': 'x',
    'hello/current': 'x',
    'hello/0123456789abcdef-01234567/file': 'x',
    file: 'x',
    'earlier/run.sh': 'x',
    'earlier/versions.txt': 'x',
    'with a file/versions': 'x',
    '0123456789abcdef-01234567/file': 'x',
  }
  for (const [name, contents] of Object.entries(strange)) {
    await mkdir(join(apps.appsDir, name, '..'), { recursive: true })
    await writeFile(join(apps.appsDir, name), contents)
  }
  if (!isWindows) await symlink(join(apps.appsDir, 'hello'), join(apps.appsDir, 'linked'))

  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version }])
  for (const name of Object.keys(strange)) assert.equal(await readFile(join(apps.appsDir, name), 'utf8'), 'x', name)
  assert.deepEqual((await readdir(versions)).sort(), [basename(version.dir), 'current', 'notes.txt', 'v1'].sort())
  assert.equal(await readFile(join(version.dir, 'run.sh'), 'utf8'), 'newer')
})

test('the start spares code that executions of an earlier agent run, though another version serves', async (t) => {
  const apps = await makeApps(t)
  const [run, left, serving] = [
    await apps.deployed(good),
    await apps.deployed(buildZip([{ name: 'run.sh', contents: 'newer' }])),
    await apps.deployed(buildZip([{ name: 'run.sh', contents: 'newest' }])),
  ]
  const before = await snapshot(run.dir)
  const found = await cleanApps(check(apps.appsDir, { inUse: new Set([run.dir]) }))
  assert.deepEqual(found, {
    serving: [{ name: 'hello', version: serving }],
    damaged: [],
    unusable: [],
    staleCaches: [],
  })
  assert.deepEqual(await snapshot(run.dir), before)
  assert.equal(existsSync(left.dir), false)
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version: serving }])
  assert.equal(existsSync(run.dir), false)
})

test('the start spares code that is run of a function that none serves', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  await truncate(join(version.dir, 'lib', 'data'))
  const found = await cleanApps(check(apps.appsDir, { inUse: new Set([version.dir]) }))
  assert.deepEqual(found, { serving: [], damaged: ['hello'], unusable: [], staleCaches: [] })
  assert.equal(existsSync(join(version.dir, 'run.sh')), true)
  assert.deepEqual(await clean(apps.appsDir), [])
  assert.equal(existsSync(version.dir), false)
})

test('a version whose files a power cut has emptied serves no more, and the same archive is unpacked again', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  await truncate(join(version.dir, 'lib', 'data'))
  assert.deepEqual(await cleanApps(check(apps.appsDir)), {
    serving: [],
    damaged: ['hello'],
    unusable: [],
    staleCaches: [],
  })
  assert.equal(existsSync(version.dir), false)
  const again = await apps.deployed(good)
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version: again }])
})

test('a version of whose code a function has removed a part serves on', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  await rm(join(version.dir, 'lib', 'data'))
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version }])
})

test('a version beside whose code a function has written serves on', async (t) => {
  const apps = await makeApps(t)
  const version = await apps.deployed(good)
  await writeFile(join(version.dir, 'cache'), 'x')
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version }])
})

test('a pointer to nothing or to nonsense is no version', async (t) => {
  const apps = await makeApps(t)
  for (const text of [
    '',
    'nonsense',
    '../../outside '.concat('0'.repeat(64), ' 0\n'),
    '0123456789abcdef-01234567 '.concat('0'.repeat(64), ' 1\n'),
  ]) {
    await apps.deployed(good)
    await writeFile(join(apps.appsDir, 'hello', 'versions', 'current'), text)
    assert.deepEqual(await clean(apps.appsDir), [])
    assert.equal((await deploy(apps.task(good))).kind, 'deployed')
    await apps.deployed(buildZip([{ name: 'run.sh', contents: 'between' }]))
  }
})

test('no folder for apps means no apps', async (t) => {
  const apps = await makeApps(t)
  assert.deepEqual(await clean(apps.appsDir), [])
  assert.equal(existsSync(apps.appsDir), false)
})

test('the start tells of a first version whose pointer a power cut has emptied', async (t) => {
  const apps = await makeApps(t)
  await apps.deployed(good)
  const versions = join(apps.appsDir, 'hello', 'versions')
  await truncate(join(versions, 'current'))
  const { serving, damaged } = await cleanApps(check(apps.appsDir))
  assert.deepEqual({ serving, damaged }, { serving: [], damaged: ['hello'] })
  assert.deepEqual(await readdir(versions), [])
})

test('a version to which no settings come serves at once', async (t) => {
  const apps = await makeApps(t)
  const result = await prepare(apps.task(good, { activate: true }))
  assert.equal(result.kind, 'prepared')
  assert.deepEqual(await clean(apps.appsDir), [{ name: 'hello', version: (result as PreparedVersion).version }])
})
