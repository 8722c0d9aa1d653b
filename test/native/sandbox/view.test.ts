import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Folders, noSandbox, OTHER, Sandbox, UID } from './sandbox-under-test.js'

const MIB = 2 ** 20

const isForAll = (path: string) => existsSync(path) && (statSync(path).mode & 0o002) !== 0

describe('the files of a sandbox', { skip: noSandbox }, () => {
  let folders: Folders
  let sandbox: Sandbox
  before(async () => {
    folders = new Folders()
    writeFileSync(join(folders.apps, 'mine/main'), 'mine')
    writeFileSync(join(folders.apps, 'other/main'), 'other')
    writeFileSync(join(folders.home, 'notes'), 'kept')
    sandbox = await Sandbox.open(folders)
  })
  after(() => sandbox.close())

  const denied = (lines: string, why: RegExp) => {
    const { status, stderr } = sandbox.try(lines)
    assert.notEqual(status, 0, lines)
    assert.match(stderr, why)
  }

  it("have the function's own home where the runner's is", () => {
    assert.equal(sandbox.run(`cd ${folders.homeAt}; cat notes; stat -c ' %u %g %a' .`), `kept ${UID} ${UID} 700\n`)
    sandbox.run(`echo new >${folders.homeAt}/new`)
    assert.equal(readFileSync(join(folders.home, 'new'), 'utf8'), 'new\n')
  })

  it("have the function's own code, read-only, and no other's", () => {
    assert.equal(sandbox.run(`cat ${folders.apps}/mine/main`), 'mine')
    denied(`cat ${folders.apps}/other/main`, /No such file/)
    denied(`ls ${folders.apps}`, /Permission denied/)
    for (const lines of ['touch mine/new', 'mkdir new', 'rmdir mine', 'mv mine away', 'touch new']) {
      assert.notEqual(sandbox.try(`cd ${folders.apps}; ${lines}`).status, 0, lines)
      // Root may not either: it is the mounts that are read-only.
      assert.match(sandbox.try(`cd ${folders.apps}; ${lines}`, 0).stderr, /Read-only file system|busy/, lines)
    }
    mkdirSync(join(folders.apps, 'mine/later'))
    assert.equal(sandbox.run(`ls -d ${folders.apps}/mine/later`), `${folders.apps}/mine/later\n`)
  })

  it("have nothing of the agent's folder but the function's", () => {
    const all = sandbox.try(`find ${folders.state}`, 0).stdout.trim().split('\n')
    const own = ['', '/functions', '/functions/tmp', '/functions/caches', '/functions/caches/mine']
    assert.deepEqual(all.sort(), own.map((path) => folders.state + path).sort())
    sandbox.run(`cd ${folders.state}/functions/caches/mine; mkdir v1; echo x >v1/code`)
    assert.equal(readFileSync(join(folders.state, 'functions/caches/mine/v1/code'), 'utf8'), 'x\n')
    const tmp = mkdtempSync(join(folders.state, 'functions/tmp/'))
    assert.equal(sandbox.run(`ls -d ${tmp}`), `${tmp}\n`)
    for (const path of ['', '/functions', '/functions/caches']) {
      assert.match(sandbox.try(`touch ${folders.state}${path}/new`, 0).stderr, /Read-only file system/)
      denied(`ls ${folders.state}${path}`, /Permission denied/)
    }
  })

  it('have empty folders in place of those that everybody can write to', () => {
    const shared = ['/tmp', '/var/tmp', '/dev/shm', '/run/lock', '/var/crash'].filter(isForAll)
    assert.ok(shared.length > 2)
    for (const path of shared) {
      // What leads to the folders of this test is in it.
      const leads = folders.dir.startsWith(`${path}/`) ? `${folders.dir.split('/')[2]}\n` : ''
      assert.equal(sandbox.run(`stat -c '%a %u' ${path}; ls -A ${path}`), `1777 0\n${leads}`)
      sandbox.run(`cd ${path}; echo mine >of-mine; echo '#!/bin/sh' >run; chmod +x run; ./run; rm run`)
      assert.equal(readdirSync(path).includes('of-mine'), false)
    }
  })

  it('may not be used to become another user or to make devices', () => {
    for (const path of ['/tmp', folders.homeAt, `${folders.apps}/mine`, `${folders.state}/functions/caches/mine`]) {
      assert.match(sandbox.run(`findmnt -n -o OPTIONS -T ${path}`), /nosuid,nodev/, path)
    }
  })

  it('are other ones for another function', async () => {
    sandbox.run('echo mine >/tmp/secret; echo mine >/dev/shm/secret')
    const other = await Sandbox.open(folders, {
      args: { uid: String(OTHER), home: join(folders.state, 'functions/homes/other'), name: 'other' },
    })
    assert.equal(other.run('ls -A /dev/shm; ls /tmp | grep secret', OTHER), '')
    assert.equal(other.run(`cat ${folders.apps}/other/main`, OTHER), 'other')
    assert.match(other.try(`ls ${folders.apps}/mine`, OTHER).stderr, /No such file/)
    assert.equal(await other.close(), 0)
  })
})

describe('what a sandbox holds in temporary folders', { skip: noSandbox }, () => {
  it('is bounded in bytes for all of them together', async () => {
    const sandbox = await Sandbox.open(new Folders(), { args: { tmp_bytes: String(4 * MIB) } })
    const fill = (path: string) => sandbox.try(`head -c 3M /dev/zero >${path}/fill`)
    assert.equal(fill('/tmp').status, 0)
    for (const path of ['/dev/shm', '/var/tmp']) assert.match(fill(path).stderr, /No space left on device/, path)
    sandbox.run('rm /*/fill /dev/shm/fill /var/tmp/fill')
    assert.equal(fill('/dev/shm').stderr, '')
    await sandbox.close()
  })

  it('is bounded in files', async () => {
    const sandbox = await Sandbox.open(new Folders(), { args: { tmp_bytes: String(MIB) } })
    const { stderr } = sandbox.try('cd /tmp; for i in $(seq 1100); do : >f$i || exit 1; done')
    assert.match(stderr, /f1\d\d\d: No space left|cannot create f1?\d\d\d/)
    await sandbox.close()
    const larger = await Sandbox.open(new Folders(), { args: { tmp_bytes: String(64 * MIB) } })
    assert.equal(larger.run('stat -f -c %c /tmp'), '4096\n')
    await larger.close()
  })

  it('has no System V segments beyond that', async () => {
    const sandbox = await Sandbox.open(new Folders(), { args: { tmp_bytes: String(4 * MIB) } })
    sandbox.run(`ipcmk -M ${3 * MIB} >/dev/null`)
    assert.match(sandbox.try(`ipcmk -M ${3 * MIB}`).stderr, /No space left on device/)
    await sandbox.close()
  })

  it('is gone when it ends', async () => {
    const folders = new Folders()
    const first = await Sandbox.open(folders)
    first.run('echo x >/tmp/file')
    assert.equal(await first.close(), 0)
    const second = await Sandbox.open(folders)
    assert.equal(second.run('ls /tmp | grep file; ls /dev/shm'), '')
    await second.close()
    rmSync(folders.dir, { recursive: true })
  })
})
