import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { UsedUp } from '../native/launcher/frames.js'
import { Node } from '../native/launcher/node.js'
import { describeEach, VARIANTS } from '../native/launcher/variants.js'
import { Folders, OTHER, Sandbox } from '../native/sandbox/sandbox-under-test.js'
import { notInGuest } from './guest.js'

const MiB = 2 ** 20
const BOUND = 16 * MiB

/** A file system of 200 MiB; a name for each, as the last one may not be unmounted yet. */
function fileSystem(name: string, make: readonly string[], options: string): string {
  const dir = makeTempDir(`flux-quota-${name}-`)
  const image = join(dir, 'image')
  const at = join(dir, 'at')
  execFileSync('sh', ['-ec', 'truncate -s 200M "$1"; mkdir "$2"', '-', image, at])
  execFileSync('mkfs.ext4', ['-q', '-F', ...make, image])
  execFileSync('mount', ['-o', `loop,${options}`, image, at])
  execFileSync('chmod', ['711', at])
  after(() => spawnSync('umount', ['--lazy', at]))
  return at
}

const QUOTAS = ['-O', 'quota', '-E', 'quotatype=usrquota']

const open = (folders: Folders, bytes = BOUND) => Sandbox.open(folders, { args: { disk_bytes: String(bytes) } })
const hasImage = ({ state }: Folders) => existsSync(join(state, 'functions/images/mine.img'))

describe('a file system with quotas of its own', { skip: notInGuest }, () => {
  it('bounds what a function keeps on it, and nobody else', async () => {
    const folders = new Folders(fileSystem('on', QUOTAS, 'usrquota'))
    const sandbox = await open(folders)
    assert.equal(hasImage(folders), false)
    const { homeAt } = folders
    const caches = join(folders.state, 'functions/caches/mine')
    assert.match(sandbox.try(`head -c ${2 * BOUND} /dev/zero >${homeAt}/large`).stderr, /Disk quota exceeded/)
    assert.match(sandbox.try(`head -c 1000000 /dev/zero >${caches}/more`).stderr, /Disk quota exceeded/)
    const kept = Number(sandbox.run(`stat -c %s ${homeAt}/large`))
    assert.ok(kept > 0.95 * BOUND && kept <= BOUND, String(kept))
    assert.equal(sandbox.run(`head -c ${2 * BOUND} /dev/zero >${homeAt}/root; rm ${homeAt}/root`, 0), '')
    sandbox.run(`rm ${homeAt}/large ${caches}/more`)
    assert.match(sandbox.try(`cd ${homeAt}; seq 1 2000 | xargs touch`).stderr, /Disk quota exceeded/)
    const files = Number(sandbox.run(`ls ${homeAt} | wc -l`))
    assert.ok(files > 1000 && files <= 1024, String(files))
    await sandbox.close()
    const other = join(folders.state, 'functions/homes/other')
    const as = ['--reuid', String(OTHER), '--regid', String(OTHER), '--clear-groups']
    execFileSync('setpriv', [...as, 'sh', '-c', `head -c ${2 * BOUND} /dev/zero >large`], { cwd: other })
  })

  it('has another bound from the next sandbox on, or none', async () => {
    const folders = new Folders(fileSystem('changed', QUOTAS, 'usrquota'))
    const write = `head -c ${2 * BOUND} /dev/zero >${folders.homeAt}/large`
    for (const [bytes, fits] of [
      [BOUND, false],
      [4 * BOUND, true],
      [BOUND, false],
      [0, true],
    ] as const) {
      const sandbox = await open(folders, bytes)
      assert.equal(sandbox.try(write).status === 0, fits, String(bytes))
      sandbox.run(`rm ${folders.homeAt}/large`)
      await sandbox.close()
    }
  })

  it('is not used where it counts only: the function gets an image', async () => {
    const folders = new Folders(fileSystem('counts', QUOTAS, 'noquota'))
    const sandbox = await open(folders)
    assert.equal(hasImage(folders), true)
    assert.match(sandbox.try(`head -c ${2 * BOUND} /dev/zero >${folders.homeAt}/large`).stderr, /No space left/)
    await sandbox.close()
  })
})

describeEach(
  'a quota that a function has used up',
  ({ launch }) => {
    it('is told at the end of an execution that fails', async () => {
      const node = new Node(fileSystem('told', QUOTAS, 'usrquota'))
      mkdirSync(join(node.state, 'functions/tmp'), { recursive: true })
      const launcher = launch()
      node.tell(launcher, undefined, BOUND)
      const ended = async (lines: string) =>
        (await node.script(launcher, 'a', `cd ~flux-runner; ${lines}`).ended).usedUp
      assert.equal(await ended(`head -c ${BOUND / 2} /dev/zero >half; false`), 0)
      assert.equal(await ended(`head -c ${BOUND} /dev/zero >large`), UsedUp.disk)
      assert.equal(await ended('true'), 0)
      assert.equal(await ended('rm large; false'), 0)
      assert.equal(await ended('seq 1 2000 | xargs touch'), UsedUp.disk)
    })
  },
  { variants: VARIANTS.slice(0, 1).map((variant) => ({ ...variant, skip: notInGuest ?? variant.skip })) },
)
