import assert from 'node:assert/strict'
import { chownSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { Host } from './host.js'
import { Folders, failure, makeFolder, noSandbox, Sandbox, UID } from './sandbox-under-test.js'

const { ENOTDIR } = constants.errno

function tempDir(): string {
  const dir = makeTempDir('flux-sandbox-')
  makeFolder(dir, 0o711)
  return dir
}

/** Where an agent's folders may be: each lies in `dir`. */
const PLACES: [string, (dir: string) => Folders][] = [
  ["the code in the runner's home", (dir) => new Folders(dir)],
  ["the code deep in the runner's home", (dir) => new Folders(dir, join(dir, 'runner/a/b/apps'))],
  ['the code beside it', (dir) => new Folders(dir, join(dir, 'apps'))],
  ["the code in the agent's folder", (dir) => new Folders(dir, join(dir, 'state/apps'))],
  ["the agent's folder in the code's", (dir) => new Folders(dir, join(dir, 'apps'), join(dir, 'apps/.state'))],
  ["both in the runner's home", (dir) => new Folders(dir, join(dir, 'runner/apps'), join(dir, 'runner/state'))],
  [
    "the agent's folder in the runner's home, with the code in it",
    (dir) => new Folders(dir, join(dir, 'runner/state/apps'), join(dir, 'runner/state')),
  ],
]

describe('a sandbox', { skip: noSandbox }, () => {
  const shows = async (folders: Folders, through: readonly string[] = []) => {
    writeFileSync(join(folders.apps, 'mine/main'), 'mine')
    writeFileSync(join(folders.state, 'secret'), 'secret')
    const sandbox = await Sandbox.open(folders, { through })
    assert.equal(sandbox.run(`cat ${folders.apps}/mine/main`), 'mine')
    assert.match(sandbox.try(`cat ${folders.apps}/other/main`, 0).stderr, /No such file/)
    assert.match(sandbox.try(`cat ${folders.state}/secret`, 0).stderr, /No such file/)
    assert.match(sandbox.try(`ls ${folders.state}/functions/homes`, 0).stderr, /No such file/)
    sandbox.run(`cd ${folders.homeAt}; echo x >file; cd ${folders.state}/functions/caches/mine; echo x >file`)
    assert.match(sandbox.try(`touch ${folders.apps}/mine/file`).stderr, /Read-only file system/)
    return sandbox
  }

  for (const [what, make] of PLACES) {
    it(`is made of ${what}, in /tmp`, async () => {
      const sandbox = await shows(make(tempDir()))
      await sandbox.close()
    })

    it(`is made of ${what}, where nothing else is covered`, async () => {
      const host = await Host.open()
      const outside = tempDir()
      host.run(`mount --bind ${outside} /mnt`)
      const inside = make(outside)
      const at = (path: string) => path.replace(outside, '/mnt')
      const sandbox = await Sandbox.open(inside, {
        through: host.through,
        args: { home: at(inside.home), home_at: at(inside.homeAt), apps: at(inside.apps), state: at(inside.state) },
      })
      writeFileSync(join(inside.apps, 'mine/main'), 'mine')
      assert.equal(sandbox.run(`cat ${at(inside.apps)}/mine/main`), 'mine')
      assert.match(sandbox.try(`ls ${at(inside.apps)}/other`, 0).stderr, /No such file/)
      assert.match(sandbox.try(`ls ${at(inside.state)}/functions/homes`, 0).stderr, /No such file/)
      await sandbox.close()
      await host.close()
    })
  }

  it('is made again on what the last one has left in the home', async () => {
    const folders = new Folders(tempDir(), undefined)
    for (let i = 0; i < 3; i++) await (await shows(folders)).close()
    const { mode, uid } = statSync(join(folders.home, 'apps'))
    assert.deepEqual([mode & 0o7777, uid], [0o711, 0])
  })

  it('leaves out what is not there', async () => {
    const folders = new Folders()
    for (const path of ['apps/mine', 'apps/other']) rmSync(join(folders.homeAt, path), { recursive: true })
    rmSync(join(folders.state, 'functions/caches'), { recursive: true })
    rmSync(join(folders.state, 'functions/tmp'), { recursive: true })
    const sandbox = await Sandbox.open(folders)
    assert.equal(sandbox.try(`ls -A ${folders.apps} ${folders.state}`, 0).stdout.replace(/.*:\n/g, '').trim(), '')
    await sandbox.close()
  })

  it('is made where links lead to the folders of the host', async () => {
    const dir = tempDir()
    const folders = new Folders(join(dir, 'real'))
    symlinkSync('real', join(dir, 'link'))
    const at = (path: string) => path.replace('/real', '/link')
    const host = await Host.open()
    host.run(`mount --bind ${dir} /mnt`)
    const under = (path: string) => at(path).replace(dir, '/mnt')
    const sandbox = await Sandbox.open(folders, {
      through: host.through,
      args: {
        home: under(folders.home),
        home_at: under(folders.homeAt),
        apps: under(folders.apps),
        state: under(folders.state),
      },
    })
    assert.equal(sandbox.run(`ls -d ${under(folders.apps)}/mine`), `${under(folders.apps)}/mine\n`)
    assert.match(sandbox.try(`ls /mnt/real/runner/apps/other`, 0).stderr, /No such file/)
    await sandbox.close()
    await host.close()
  })

  for (const [what, plant] of Object.entries<(at: string) => void>({
    'a link to a folder': (at) => symlinkSync('/etc', at),
    'a link to nothing': (at) => symlinkSync('/nowhere', at),
    'a file': (at) => writeFileSync(at, ''),
  })) {
    it(`says so where a function has put ${what} in the way`, async () => {
      const folders = new Folders()
      const way = join(folders.home, 'apps')
      plant(way)
      assert.deepEqual(await failure(folders.arguments()), [`cannot open ${folders.apps}: Not a directory\n`, ENOTDIR])
      rmSync(way)
      await (await Sandbox.open(folders)).close()
    })
  }

  it('covers what a function has put there', async () => {
    const folders = new Folders()
    const own = join(folders.home, 'apps')
    mkdirSync(join(own, 'mine'), { recursive: true })
    for (const path of [own, join(own, 'mine')]) chownSync(path, UID, UID)
    writeFileSync(join(own, 'mine/main'), 'planted')
    await (await shows(folders)).close()
  })

  it('is not kept from its places by a function that moves what leads there', async () => {
    const folders = new Folders(tempDir())
    const deep = new Folders(folders.dir, join(folders.homeAt, 'a/apps'))
    const sandbox = await shows(deep)
    sandbox.run(`cd ${deep.homeAt}; mv a b; ln -s /etc a`)
    await sandbox.close()
    const sentence = `cannot open ${dirname(deep.apps)}: Not a directory\n`
    assert.deepEqual(await failure(deep.arguments()), [sentence, ENOTDIR])
    rmSync(join(deep.home, 'a'))
    renameSync(join(deep.home, 'b'), join(deep.home, 'a'))
    await (await shows(deep)).close()
  })
})
