import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { installation } from '../../../src/installation.js'
import { Folders, noSandbox, Sandbox, UID } from './sandbox-under-test.js'

const MiB = 2 ** 20
const BOUND = 64 * MiB
const FULL = /No space left on device|Disk quota exceeded/

function check(state: string, through: readonly string[] = []) {
  const [program = '', ...args] = [...through, installation.sandbox, 'check-disk', `state=${state}`]
  const { status, stdout } = spawnSync(program, args, { input: '', encoding: 'utf8' })
  return { status, stdout }
}

const noDisk = noSandbox || (check('/tmp').status === 0 ? false : 'nothing on disk can be bounded here')

const open = (folders: Folders, bytes = BOUND) => Sandbox.open(folders, { args: { disk_bytes: String(bytes) } })

const image = ({ state }: Folders) => join(state, 'functions/images/mine.img')

/** Names of loop devices that have a file of that folder. */
function loopDevices(dir: string): string[] {
  return readdirSync('/sys/block').filter((name) => {
    const backing = `/sys/block/${name}/loop/backing_file`
    return existsSync(backing) && readFileSync(backing, 'utf8').startsWith(dir)
  })
}

/** The file system is unmounted after the last process in the sandbox has ended, by the kernel. */
async function noneMounted(dir: string): Promise<void> {
  await eventually('no loop device', () => loopDevices(dir).length === 0)
}

const fill = (file: string) => `head -c ${2 * BOUND} /dev/zero >${file}`

describe('what a function keeps on disk', { skip: noDisk }, () => {
  it('is bounded, its home, caches and temporary folders together', async () => {
    const folders = new Folders()
    const sandbox = await open(folders)
    const places = [folders.homeAt, join(folders.state, 'functions/caches/mine')]
    mkdirSync(`/proc/${sandbox.pid}/root${folders.state}/functions/tmp/one`)
    chownSync(`/proc/${sandbox.pid}/root${folders.state}/functions/tmp/one`, UID, UID)
    places.push(join(folders.state, 'functions/tmp/one'))
    for (const place of places) assert.match(sandbox.try(fill(`${place}/large`)).stderr, FULL)
    const kept = places.map((place) => Number(sandbox.run(`stat -c %s ${place}/large`)))
    const together = kept.reduce((sum, one) => sum + one)
    assert.ok(together > 0.85 * BOUND && together <= BOUND, `${kept}`)
    for (const place of places) sandbox.run(`rm ${place}/large`)
    await sandbox.close()
  })

  it('is bounded in inodes', async () => {
    const folders = new Folders()
    const sandbox = await open(folders)
    const made = sandbox.try(`cd ${folders.homeAt}; seq 1 5000 | xargs touch`)
    assert.match(made.stderr, FULL)
    const count = Number(sandbox.run(`ls ${folders.homeAt} | wc -l`))
    assert.ok(count > 4000 && count <= BOUND / 16384, String(count))
    await sandbox.close()
  })

  it('takes no more of the node than it has, and stays over sandboxes', async () => {
    const folders = new Folders()
    const first = await open(folders, 16 * 1024 * MiB)
    first.run(`head -c ${32 * MiB} /dev/zero >${folders.homeAt}/zeros; echo kept >${folders.homeAt}/file; sync`)
    first.run(`rm ${folders.homeAt}/zeros; sync`)
    await first.close()
    const second = await open(folders, 16 * 1024 * MiB)
    assert.equal(second.run(`cat ${folders.homeAt}/file`), 'kept\n')
    assert.equal(second.run(`stat -c '%a %u %g' ${folders.homeAt}`), `700 ${UID} ${UID}\n`)
    await second.close()
    assert.ok(statSync(image(folders)).blocks * 512 < 8 * MiB)
    assert.equal(statSync(image(folders)).mode & 0o777, 0o600)
  })

  it('is the same in two sandboxes, and nothing is left mounted', async () => {
    const folders = new Folders()
    const [first, second] = [await open(folders), await open(folders)]
    first.run(`echo one >${folders.homeAt}/file`)
    assert.equal(second.run(`cat ${folders.homeAt}/file`), 'one\n')
    assert.equal(loopDevices(folders.dir).length, 1)
    await first.close()
    second.run(`echo two >>${folders.homeAt}/file`)
    await second.close()
    await noneMounted(folders.dir)
  })

  it('can be given up and taken again at once', async () => {
    const folders = new Folders()
    for (let i = 1; i <= 10; i++) {
      const sandbox = await open(folders)
      assert.equal(sandbox.run(`echo line >>${folders.homeAt}/file; wc -l <${folders.homeAt}/file`), `${i}\n`)
      await sandbox.close()
    }
  })

  it('can grow, and does not shrink', async () => {
    const folders = new Folders()
    const size = (sandbox: Sandbox) => Number(sandbox.run(`stat -f -c '%b' ${folders.homeAt}`)) * 4096
    for (const bytes of [BOUND, 3 * BOUND, BOUND]) {
      const sandbox = await open(folders, bytes)
      if (bytes === BOUND && statSync(image(folders)).size === BOUND) assert.ok(size(sandbox) <= BOUND)
      else assert.ok(size(sandbox) > 2 * BOUND && size(sandbox) <= 3 * BOUND, String(size(sandbox)))
      await sandbox.close()
      await noneMounted(folders.dir)
    }
  })

  it('survives a crash of the node', async () => {
    const folders = new Folders()
    const sandbox = await open(folders)
    sandbox.run(`cd ${folders.homeAt}; for i in $(seq 100); do echo $i >file$i; done; sync; rm file?`)
    const crashed = join(folders.dir, 'crashed.img')
    // As the disk has it while it is mounted: what is in the journal is not yet in its place.
    copyFileSync(image(folders), crashed)
    await sandbox.close()
    await noneMounted(folders.dir)
    copyFileSync(crashed, image(folders))
    const next = await open(folders)
    assert.equal(next.run(`cat ${folders.homeAt}/file100`), '100\n')
    await next.close()
  })

  it('loses the caches of versions that are gone, which wait to be removed', async () => {
    const folders = new Folders()
    const caches = join(folders.state, 'functions/caches/mine')
    for (const version of ['v1', 'v2']) mkdirSync(join(caches, version))
    const first = await open(folders)
    first.run(`mkdir -p ${caches}/v1/a ${caches}/v2/b`)
    await first.close()
    assert.equal(spawnSync('rmdir', [join(caches, 'v1')]).status, 0)
    const second = await open(folders)
    assert.equal(second.run(`ls ${caches}`), 'v2\n')
    assert.deepEqual(readdirSync(`/proc/${second.pid}/root${folders.state}/functions/tmp`), ['cache-0'])
    await second.close()
  })

  it('has a cache for each version, which counts, and needs no room for it to be used up', async () => {
    const folders = new Folders()
    const caches = join(folders.state, 'functions/caches/mine')
    mkdirSync(join(caches, 'v1'))
    const first = await open(folders)
    assert.equal(first.run(`stat -c '%a %u %g' ${caches}/v1`), `700 ${UID} ${UID}\n`)
    assert.match(first.try(fill(`${caches}/v1/large`)).stderr, FULL)
    first.try(`cat /dev/zero >${folders.homeAt}/rest`)
    await first.close()
    mkdirSync(join(caches, 'v2'))
    const second = await open(folders)
    assert.match(second.run(`ls ${caches}`), /^v1\n/)
    await second.close()
  })

  it('stays where it is, unbounded and said, when it is from before there was a bound', async () => {
    const folders = new Folders()
    writeFileSync(join(folders.home, 'old'), 'old')
    const sandbox = await open(folders)
    assert.equal(sandbox.try(`cat ${folders.homeAt}/old`, 0).stdout, 'old')
    assert.ok(!existsSync(image(folders)))
    await sandbox.close()
    const args = folders.arguments({ disk_bytes: String(BOUND) })
    const { stderr } = spawnSync(installation.sandbox, args, { input: '', encoding: 'utf8' })
    assert.match(stderr, /^flux-agent: what function mine keeps on disk is not bounded: its files in .*homes\/mine/)
  })

  it('is not bounded by 0', async () => {
    const folders = new Folders()
    const sandbox = await open(folders, 0)
    sandbox.run(`echo kept >${folders.homeAt}/file`)
    assert.equal(readFileSync(join(folders.home, 'file'), 'utf8'), 'kept\n')
    await sandbox.close()
  })
})

describe('what a function keeps on a disk that is full', { skip: noDisk }, () => {
  const dir = makeTempDir('flux-full-')
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=711', 'none', dir])
  after(() => spawnSync('umount', ['--lazy', dir]))

  it('is there again when there is room', async () => {
    const folders = new Folders(dir)
    const first = await open(folders)
    first.run(`echo kept >${folders.homeAt}/file; sync`)
    const written = first.try(`${fill(`${folders.homeAt}/large`)} && sync ${folders.homeAt}/large`)
    assert.notEqual(written.stderr, '')
    first.try(`rm ${folders.homeAt}/large`)
    await first.close()
    await noneMounted(dir)
    spawnSync('mount', ['-o', 'remount,size=200m', dir])
    const second = await open(folders)
    assert.equal(
      second.run(`cat ${folders.homeAt}/file; rm -f ${folders.homeAt}/large; touch ${folders.homeAt}/new`),
      'kept\n',
    )
    await second.close()
    await noneMounted(dir)
  })
})

describe('whether what functions keep can be bounded', { skip: noDisk }, () => {
  const without = (mounts: string) => ['unshare', '-m', 'sh', '-c', `${mounts}; exec "$@"`, '-']

  it('is told by what is missing', () => {
    assert.deepEqual(check('/tmp'), { status: 0, stdout: 'ready\n' })
    const noLoop = check('/tmp', without('mount --bind /dev/null /dev/loop-control'))
    assert.deepEqual(noLoop, {
      status: constants.errno.ENOTTY,
      stdout: 'cannot find a free loop device: Inappropriate ioctl for device\n',
    })
    const noProgram = check('/tmp', without('for dir in /usr/sbin /sbin; do mount -t tmpfs none $dir; done'))
    assert.deepEqual(noProgram, {
      status: constants.errno.ENOENT,
      stdout: 'cannot run mkfs.ext4: No such file or directory\n',
    })
  })

  it('leaves nothing', () => {
    assert.deepEqual(loopDevices('/memfd'), [])
  })
})
