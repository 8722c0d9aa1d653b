import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { buildZip, PROGRAM } from '../../../harness/zip.js'
import { ArchiveRefused } from '../../../src/archive/refused.js'
import type { UidRange } from '../../../src/os/platform.js'
import type { CodeVersion, FunctionUsers } from '../../../src/threads/messages.js'
import { cleanApps, discard, prepare, removeCaches, removeVersion } from '../../../src/workers/deploy/deploy.js'
import { openUser, openUsers } from '../../../src/workers/deploy/function-users.js'
import { type Apps, AS_NOBODY, check, isRoot, makeApps, NOBODY } from './deploy-fixture.js'

const PYTHON = '/usr/bin/python3'
const UIDS: UidRange = { first: 2_100_000_000, last: 2_100_065_535 }
const moduleUrl = new URL('../../../src/workers/deploy/function-users.js', import.meta.url).href
const { first } = UIDS

function stateFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'flux-users-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A copy of a folder: what a thread that knows nothing yet reads. */
function restarted(folder: string): string {
  const moved = `${folder}-`
  renameSync(folder, moved)
  return moved
}

describe('the users of functions', { skip: !isRoot }, () => {
  it('are one for each, and remembered by the owners of homes', async (t) => {
    const folder = join(stateFolder(t), 'functions')
    assert.equal(await openUser({ folder, uids: UIDS }, 'a'), first)
    assert.equal(await openUser({ folder, uids: UIDS }, 'b'), first + 1)
    assert.equal(await openUser({ folder, uids: UIDS }, 'a'), first)
    for (const [name, uid, mode] of [
      ['.', 0, 0o711],
      ['homes', 0, 0o711],
      ['homes/a', first, 0o700],
      ['homes/b', first + 1, 0o700],
    ] as const) {
      const found = lstatSync(join(folder, name))
      assert.deepEqual([found.uid, found.gid, found.mode & 0o7777], [uid, uid, mode], name)
    }
    const later = { folder: restarted(folder), uids: UIDS }
    assert.deepEqual(
      await openUsers(later, ['c', 'b', 'a']),
      new Map([
        ['c', first + 2],
        ['b', first + 1],
        ['a', first],
      ]),
    )
  })

  it('get a home back whose mode or group they have changed', async (t) => {
    const folder = stateFolder(t)
    const uid = await openUser({ folder, uids: UIDS }, 'a')
    const home = join(folder, 'homes', 'a')
    chmodSync(home, 0o2777)
    chownSync(home, uid, NOBODY.gid)
    assert.equal(await openUser({ folder, uids: UIDS }, 'a'), uid)
    const found = lstatSync(home)
    assert.deepEqual([found.uid, found.gid, found.mode & 0o7777], [uid, uid, 0o700])
  })

  it('are not given again while there are others', async (t) => {
    const folder = stateFolder(t)
    for (const name of ['a', 'b', 'c']) await openUser({ folder, uids: UIDS }, name)
    rmSync(join(folder, 'homes', 'c'), { recursive: true })
    assert.equal(await openUser({ folder, uids: UIDS }, 'd'), first + 3)
    assert.equal(await openUser({ folder, uids: UIDS }, 'c'), first + 2)
  })

  it('come from the whole range, and then are those that no home has', async (t) => {
    const folder = stateFolder(t)
    const uids = { first, last: first + 2 }
    for (const name of ['a', 'b', 'c']) await openUser({ folder, uids }, name)
    await assert.rejects(openUser({ folder, uids }, 'd'), (error: Error) => {
      assert.ok(error instanceof ArchiveRefused)
      assert.equal(
        error.message,
        `functions.uids ${first}-${first + 2} has no user left for one more function: give a wider range, or remove ` +
          `homes that no function needs from ${folder}/homes and start the agent again`,
      )
      return true
    })
    assert.equal(existsSync(join(folder, 'homes', 'd')), false)
    const later = restarted(folder)
    t.after(() => rmSync(later, { recursive: true }))
    rmSync(join(later, 'homes', 'b'), { recursive: true })
    assert.equal(await openUser({ folder: later, uids }, 'd'), first + 1)
  })

  it('are the same again where a power cut has taken homes, and nobody else has them', async (t) => {
    const folder = stateFolder(t)
    for (const name of ['a', 'b', 'c']) await openUser({ folder, uids: UIDS }, name)
    const later = restarted(folder)
    t.after(() => rmSync(later, { recursive: true }))
    for (const name of ['b', 'c']) rmSync(join(later, 'homes', name), { recursive: true })
    const opened = await openUsers({ folder: later, uids: UIDS }, ['d', 'c', 'a', 'b'])
    assert.deepEqual([...opened.values()], [first + 3, first + 2, first, first + 1])
  })

  it('are remembered where the range was another one meanwhile, or a narrower one', async (t) => {
    const folder = stateFolder(t)
    for (const name of ['a', 'b']) await openUser({ folder, uids: UIDS }, name)
    const elsewhere = { first: first + 70_000, last: first + 80_000 }
    rmSync(join(folder, 'homes', 'b'), { recursive: true })
    const there = await openUsers({ folder, uids: elsewhere }, ['b', 'c'])
    assert.deepEqual([...there.values()], [elsewhere.first, elsewhere.first + 1])
    const narrow = { first, last: first + 99 }
    const later = restarted(folder)
    t.after(() => rmSync(later, { recursive: true }))
    assert.equal(await openUser({ folder: later, uids: narrow }, 'd'), first + 2)
  })

  it('are given again once the whole range has been, those that are out of use for longest first', async (t) => {
    const folder = stateFolder(t)
    const uids = { first, last: first + 2 }
    const after = async (gone: readonly string[], names: readonly string[], range = uids) => {
      for (const name of gone) rmSync(join(last, 'homes', name), { recursive: true })
      last = restarted(last)
      return [...(await openUsers({ folder: last, uids: range }, names)).values()]
    }
    let last = folder
    t.after(() => rmSync(last, { recursive: true }))
    assert.deepEqual(await after([], ['a', 'b', 'c']), [first, first + 1, first + 2])
    assert.deepEqual(await after(['a'], ['d']), [first])
    // What d had last is its own, though a had it before, and the others may be taken before it.
    const wider = { first, last: first + 3 }
    assert.deepEqual(await after(['b', 'd'], ['a', 'd', 'e'], wider), [first + 3, first, first + 1])
  })

  it('are remembered although a line about one was not written to its end', async (t) => {
    const folder = stateFolder(t)
    await openUser({ folder, uids: UIDS }, 'a')
    writeFileSync(join(folder, 'users'), `\n{"name":"b","uid":${first + 1}`, { flag: 'a' })
    const later = restarted(folder)
    assert.equal(await openUser({ folder: later, uids: UIDS }, 'c'), first + 1)
    for (const name of ['a', 'c']) rmSync(join(later, 'homes', name), { recursive: true })
    const latest = restarted(later)
    t.after(() => rmSync(latest, { recursive: true }))
    const opened = await openUsers({ folder: latest, uids: UIDS }, ['b', 'c', 'a'])
    assert.deepEqual([...opened.values()], [first + 2, first + 1, first])
  })

  it('are none while that they are given cannot be written down, and then are', async (t) => {
    const folder = stateFolder(t)
    mkdirSync(join(folder, 'users'))
    await assert.rejects(openUser({ folder, uids: UIDS }, 'a'), { code: 'EISDIR' })
    rmdirSync(join(folder, 'users'))
    assert.equal(await openUser({ folder, uids: UIDS }, 'a'), first)
    assert.equal(await openUser({ folder, uids: UIDS }, 'b'), first + 1)
  })

  it('are refused where a home belongs to somebody else', async (t) => {
    const folder = stateFolder(t)
    const home = (name: string) => join(folder, 'homes', name)
    mkdirSync(join(folder, 'homes'))
    mkdirSync(home('original'))
    chownSync(home('original'), first, first)
    // File times advance in steps of some milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 50))
    execFileSync('cp', ['-a', home('original'), home('copy')])
    mkdirSync(home('foreign'))
    chownSync(home('foreign'), NOBODY.uid, NOBODY.gid)
    writeFileSync(home('file'), '')
    const opened = await openUsers({ folder, uids: UIDS }, ['copy', 'foreign', 'file', 'original', 'new'])
    const told = Object.fromEntries([...opened].map(([name, uid]) => [name, uid instanceof Error ? uid.message : uid]))
    const away = (name: string) => `move ${home(name)} away, and the function gets a new one`
    assert.deepEqual(told, {
      copy: `function copy gets no user of its own: its home ${home('copy')} belongs to user ${first}, who is function original: ${away('copy')}`,
      foreign:
        `function foreign gets no user of its own: its home ${home('foreign')} belongs to user ${NOBODY.uid}, and ` +
        `functions.uids is ${first}-${UIDS.last}: give the range that it comes from, or ${away('foreign')}`,
      file: `function file gets no user of its own: ${home('file')}: not a directory`,
      original: first,
      new: first + 1,
    })
  })

  it('stay with their functions where homes were copied, and the copies are older than they', async (t) => {
    const folder = stateFolder(t)
    for (const name of ['a', 'b']) await openUser({ folder, uids: UIDS }, name)
    const home = (name: string) => join(folder, 'homes', name)
    execFileSync('cp', ['-a', home('a'), home('copy')])
    // File times advance in steps of some milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 50))
    execFileSync('cp', ['-a', home('a'), home('a-')])
    rmSync(home('a'), { recursive: true })
    renameSync(home('a-'), home('a'))
    const later = restarted(folder)
    t.after(() => rmSync(later, { recursive: true }))
    const opened = await openUsers({ folder: later, uids: UIDS }, ['copy', 'a'])
    assert.match(String(opened.get('copy')), /belongs to user \d+, who is function a:/)
    assert.equal(opened.get('a'), first)
  })

  it('of releases that remembered them by homes alone are written down, also those of another range', async (t) => {
    const folder = stateFolder(t)
    const elsewhere = { first: first + 70_000, last: first + 80_000 }
    for (const [name, uid] of [
      ['a', first],
      ['b', elsewhere.first],
    ] as const) {
      mkdirSync(join(folder, 'homes', name), { recursive: true })
      chownSync(join(folder, 'homes', name), uid, uid)
    }
    assert.equal(await openUser({ folder, uids: UIDS }, 'c'), first + 1)
    for (const name of ['a', 'b']) rmSync(join(folder, 'homes', name), { recursive: true })
    const later = restarted(folder)
    assert.equal(await openUser({ folder: later, uids: elsewhere }, 'd'), elsewhere.first + 1)
    const latest = restarted(later)
    t.after(() => rmSync(latest, { recursive: true }))
    assert.equal(await openUser({ folder: latest, uids: UIDS }, 'a'), first)
  })

  it('are read in moments where there are 2,000', async (t) => {
    const folder = stateFolder(t)
    const names = Array.from({ length: 2000 }, (_, index) => `f${index}`)
    const opened = await openUsers({ folder, uids: UIDS }, names)
    assert.equal(new Set(opened.values()).size, 2000)
    const later = restarted(folder)
    t.after(() => rmSync(later, { recursive: true }))
    const begun = performance.now()
    assert.deepEqual(await openUsers({ folder: later, uids: UIDS }, names), opened)
    const ms = performance.now() - begun
    t.diagnostic(`${Math.round(ms)} ms for 2,000`)
    assert.ok(ms < 1500, `${ms} ms`)
  })

  it('are never two with one, nor a home without one, whenever the agent is killed', async (t) => {
    const folder = stateFolder(t)
    const child = `
const { openUser } = await import(${JSON.stringify(moduleUrl)})
const [folder, from] = process.argv.slice(1)
const users = { folder, uids: ${JSON.stringify(UIDS)} }
for (let at = Number(from); ; at++) console.log(await openUser(users, 'f' + at))
`
    const known = new Map<string, number>()
    for (let round = 0; round < 12; round++) {
      const from = readHomes(folder).length
      const agent = spawn(process.execPath, ['--input-type=module', '-e', child, folder, String(from)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(agent.stdout, 'data')
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      agent.kill('SIGKILL')
      await once(agent, 'exit')
      const homes = readHomes(folder)
      assert.ok(homes.length > from)
      for (const { name, uid } of homes) {
        if (uid === 0) continue
        assert.equal(known.get(name) ?? uid, uid, name)
        known.set(name, uid)
      }
      assert.equal(new Set(known.values()).size, known.size)
      // At most one more in each round, and that is given its user when it is opened again.
      assert.ok(homes.filter(({ uid }) => uid === 0).length <= round + 1)
    }
    const all = readHomes(folder).map(({ name }) => name)
    const opened = await openUsers({ folder, uids: UIDS }, all)
    assert.equal(new Set(opened.values()).size, all.length)
    for (const [name, uid] of known) assert.equal(opened.get(name), uid)
    for (const { uid } of readHomes(folder)) assert.notEqual(uid, 0)
  })
})

function readHomes(folder: string): { name: string; uid: number }[] {
  const homes = join(folder, 'homes')
  if (!existsSync(homes)) return []
  return readdirSync(homes).map((name) => ({ name, uid: lstatSync(join(homes, name)).uid }))
}

const archive = (text = 'hello') =>
  buildZip([
    { name: 'run.sh', contents: '#!/bin/sh\ncat lib/data\n', mode: PROGRAM },
    { name: 'lib/data', contents: text },
  ])

interface Node {
  readonly apps: Apps
  readonly separate: FunctionUsers
  readonly places: { readonly users: FunctionUsers; readonly cachesDir: string; readonly codeCache: true }
  deployed(name: string, text?: string): Promise<CodeVersion>
}

async function makeNode(t: TestContext): Promise<Node> {
  const apps = await makeApps(t)
  chmodSync(apps.root, 0o755)
  const folder = join(apps.root, 'functions')
  const separate: FunctionUsers = { kind: 'separate', runAs: NOBODY, folder, uids: UIDS }
  const places = { users: separate, cachesDir: join(folder, 'caches'), codeCache: true } as const
  mkdirSync(apps.appsDir)
  chmodSync(apps.appsDir, 0o755)
  return {
    apps,
    separate,
    places,
    deployed: (functionName, text) => apps.deployed(archive(text), { functionName, ...places }),
  }
}

/** What a user reads of a version by its handler; undefined where it cannot. */
function runAs(uid: number, gid: number, { dir }: CodeVersion): string | undefined {
  try {
    return execFileSync(join(dir, 'run.sh'), {
      cwd: dir,
      uid,
      gid,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return undefined
  }
}

describe('code of separate functions', { skip: !isRoot }, () => {
  it('is for its own function alone, and has a cache that is too', async (t) => {
    const node = await makeNode(t)
    const [a, b] = [await node.deployed('a'), await node.deployed('b')]
    assert.deepEqual([a.uid, b.uid], [first, first + 1])
    assert.equal(a.cacheDir, join(node.places.cachesDir, 'a', basename(a.dir)))
    for (const [own, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const uid = own.uid ?? 0
      assert.equal(runAs(uid, uid, own), 'hello')
      assert.equal(runAs(uid, uid, other), undefined)
      const { uid: owner, gid, mode } = lstatSync(own.cacheDir ?? '')
      assert.deepEqual([owner, gid, mode & 0o7777], [uid, uid, 0o700])
    }
    for (const passage of ['', '/a']) assert.equal(statSync(node.places.cachesDir + passage).mode & 0o7777, 0o711)
  })

  it('has its user and its cache also where it is deployed already, and at the next start', async (t) => {
    const node = await makeNode(t)
    const version = await node.deployed('a')
    rmSync(version.cacheDir ?? '', { recursive: true })
    const again = await prepare(node.apps.task(archive(), { functionName: 'a', ...node.places }))
    assert.deepEqual(again, { kind: 'unchanged', version, warnings: [] })
    assert.equal(lstatSync(version.cacheDir ?? '').uid, version.uid)
    const found = await cleanApps(check(node.apps.appsDir, node.places))
    assert.deepEqual(found, { serving: [{ name: 'a', version }], damaged: [], unusable: [], staleCaches: [] })
  })

  it('serves on after functions were made separate, and after that was undone', async (t) => {
    const node = await makeNode(t)
    const { appsDir } = node.apps
    const shared = await node.apps.deployed(archive(), { users: AS_NOBODY })
    assert.equal(runAs(NOBODY.uid, NOBODY.gid, shared), 'hello')

    const stored = new Map([['hello', { handler: 'run.sh', fingerprint: '0123456789abcdef' }]])
    const start = check(appsDir, { ...node.places, stored })
    const running = await cleanApps({ ...start, inUse: new Set([shared.dir]) })
    const version = { ...shared, uid: first, cacheDir: join(node.places.cachesDir, 'hello', basename(shared.dir)) }
    assert.deepEqual(running.serving, [{ name: 'hello', version }])
    assert.equal(runAs(first, first, version), 'hello')
    assert.equal(runAs(NOBODY.uid, NOBODY.gid, version), 'hello', 'an execution of the earlier agent reads on')

    assert.deepEqual((await cleanApps(start)).serving, [{ name: 'hello', version }])
    assert.equal(runAs(first, first, version), 'hello')
    assert.equal(runAs(NOBODY.uid, NOBODY.gid, version), undefined)
    const { ctimeMs } = lstatSync(join(version.dir, 'run.sh'))
    await cleanApps(start)
    assert.equal(lstatSync(join(version.dir, 'run.sh')).ctimeMs, ctimeMs, 'nothing is done twice')

    const undone = await cleanApps({ ...start, users: AS_NOBODY, inUse: new Set([shared.dir]) })
    assert.deepEqual(undone.serving, [{ name: 'hello', version: shared }])
    assert.equal(runAs(NOBODY.uid, NOBODY.gid, shared), 'hello')
    assert.equal(runAs(first, first, shared), 'hello')
    assert.deepEqual(undone.staleCaches, [], 'what still runs keeps its cache')
    assert.deepEqual((await cleanApps({ ...start, users: AS_NOBODY })).staleCaches, [version.cacheDir])
    assert.equal(runAs(first, first, shared), undefined)
  })

  it('that a killed start has given away in part is given away by the next one', async (t) => {
    const node = await makeNode(t)
    const shared = await node.apps.deployed(archive(), { users: AS_NOBODY })
    chownSync(join(shared.dir, 'lib', 'data'), 0, first)
    chownSync(join(shared.dir, 'run.sh'), 0, first)
    const { serving } = await cleanApps(check(node.apps.appsDir, node.places))
    assert.equal(serving[0]?.version.uid, first)
    assert.equal(runAs(first, first, shared), 'hello')
  })

  it('does not serve where its function can have no user, and the others do', async (t) => {
    const node = await makeNode(t)
    const b = await node.deployed('b')
    await node.deployed('a')
    chownSync(join(node.apps.root, 'functions', 'homes', 'a'), NOBODY.uid, NOBODY.gid)
    const { serving, unusable } = await cleanApps(check(node.apps.appsDir, node.places))
    assert.deepEqual(serving, [{ name: 'b', version: b }])
    assert.deepEqual(
      unusable.map(({ name }) => name),
      ['a'],
    )
    assert.match(unusable[0]?.problem ?? '', /belongs to user 65534/)
    assert.match(
      await node.apps.refused(archive('new'), { functionName: 'a', ...node.places }),
      /belongs to user 65534/,
    )
  })
})

describe('caches of code', { skip: !isRoot }, () => {
  it('go with their version', async (t) => {
    const node = await makeNode(t)
    const { cachesDir } = node.places
    const old = await node.deployed('a')
    const next = await prepare(node.apps.task(archive('new'), { functionName: 'a', ...node.places }))
    assert.equal(next.kind, 'prepared')
    if (next.kind !== 'prepared') return
    assert.equal(existsSync(next.version.cacheDir ?? ''), true)
    await discard(next)
    assert.equal(existsSync(next.version.cacheDir ?? ''), false)
    const current = await node.deployed('a', 'newer')
    await removeVersion({ versionDir: old.dir, cachesDir })
    assert.deepEqual(readdirSync(join(cachesDir, 'a')), [basename(current.dir)])
  })

  it('are only for functions that are users of their own', async (t) => {
    const node = await makeNode(t)
    const shared = await node.apps.deployed(archive(), { ...node.places, users: AS_NOBODY })
    assert.equal(shared.cacheDir, undefined)
    const off = await node.apps.deployed(archive(), { ...node.places, functionName: 'off', codeCache: false })
    assert.equal(off.cacheDir, undefined)
    const own = await node.apps.deployed(archive(), { ...node.places, functionName: 'own', users: { kind: 'agent' } })
    assert.equal(lstatSync(own.cacheDir ?? '').uid, 0)
    const { staleCaches } = await cleanApps(check(node.apps.appsDir, { ...node.places, codeCache: false }))
    assert.deepEqual(staleCaches, [own.cacheDir])
    assert.deepEqual(await removeCaches(staleCaches), [])
    assert.deepEqual(readdirSync(join(node.places.cachesDir, 'own')), [])
  })

  it('can be used by their function alone', { skip: !existsSync(PYTHON) }, async (t) => {
    const node = await makeNode(t)
    const modules = buildZip([
      { name: 'run.sh', contents: `#!/bin/sh\numask 077\nexec ${PYTHON} main.py\n`, mode: PROGRAM },
      { name: 'main.py', contents: 'import module\nprint(module.__cached__)\n' },
      { name: 'module.py', contents: 'VALUE = 1\n' },
    ])
    const { cacheDir = '', uid = 0, dir } = await node.apps.deployed(modules, node.places)
    const run = () =>
      execFileSync(join(dir, 'run.sh'), {
        cwd: dir,
        uid,
        gid: uid,
        encoding: 'utf8',
        env: { PYTHONPYCACHEPREFIX: join(cacheDir, 'python') },
      }).trim()
    const bytecode = run()
    assert.ok(bytecode.startsWith(`${cacheDir}/python/`), bytecode)
    const before = lstatSync(bytecode)
    assert.deepEqual([before.uid, before.mode & 0o077], [uid, 0])
    assert.equal(run(), bytecode)
    assert.equal(lstatSync(bytecode).ino, before.ino, 'it was not compiled again')
  })

  it('are removed with all that is in them, and nothing else', async (t) => {
    const node = await makeNode(t)
    const { cacheDir = '', uid = 0, dir } = await node.deployed('a')
    const outside = join(node.apps.root, 'outside')
    const asFunction = (script: string) =>
      execFileSync('/bin/sh', ['-ec', script], { cwd: cacheDir, uid, gid: uid, env: { ...process.env, outside } })
    asFunction('ln -s "$outside" folder; ln -s "$outside/secret" file; ln -s loop loop; mkfifo fifo')
    asFunction('mkdir closed; touch closed/file; chmod 0 closed; touch "$(printf "\\377\\n")"')
    asFunction('i=0; while [ $i -lt 1500 ]; do mkdir d; cd -P d; i=$((i+1)); done; touch deep')
    asFunction('mkdir wide; cd wide; i=0; while [ $i -lt 300 ]; do mkdir $i; : > $i/f; i=$((i+1)); done')
    await node.deployed('a', 'new')
    await removeVersion({ versionDir: dir, cachesDir: node.places.cachesDir })
    assert.equal(existsSync(cacheDir), false)
    assert.deepEqual(readdirSync(outside), ['secret'])
  })

  it('are removed although the function swaps folders and links meanwhile', async (t) => {
    const node = await makeNode(t)
    const { cacheDir = '', uid = 0, dir } = await node.deployed('a')
    const outside = join(node.apps.root, 'outside')
    for (let at = 0; at < 50; at++) writeFileSync(join(outside, `f${at}`), '')
    const before = readdirSync(outside)
    const swap = `
import { mkdirSync, rmSync, symlinkSync, renameSync, unlinkSync, rmdirSync } from 'node:fs'
console.log('ready')
const until = Date.now() + 1500
const attempt = (act) => { try { act() } catch {} }
while (Date.now() < until) {
  attempt(() => mkdirSync('x')); attempt(() => mkdirSync('x/y'))
  attempt(() => renameSync('x', 'z')); attempt(() => symlinkSync(${JSON.stringify(outside)}, 'x'))
  attempt(() => renameSync('x', 'z/y/l')); attempt(() => unlinkSync('x'))
}
`
    const attacker = spawn(process.execPath, ['--input-type=module', '-e', swap], {
      cwd: cacheDir,
      uid,
      gid: uid,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(attacker, 'exit')
    await once(attacker.stdout, 'data')
    await node.deployed('a', 'new')
    await removeVersion({ versionDir: dir, cachesDir: node.places.cachesDir })
    attacker.kill('SIGKILL')
    await exit
    assert.equal(existsSync(cacheDir), false)
    assert.deepEqual(readdirSync(outside), before)
  })
})
