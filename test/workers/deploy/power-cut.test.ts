import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { after, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { openUser } from '../../../src/workers/deploy/function-users.js'
import { isRoot } from './deploy-fixture.js'

const UIDS = { first: 2_100_000_000, last: 2_100_065_535 }
/** Longer than the test, so that nothing is on disk but what is flushed. */
const COMMIT_SECONDS = 300

const dir = makeTempDir('flux-power-cut-')
const disk = join(dir, 'disk.img')
const state = join(dir, 'state')
const noDisk = isRoot ? diskProblem() : 'it takes root to mount a disk'
after(() => noDisk || execFileSync('umount', [state]))

/** Makes a disk and mounts it; answers why that cannot be. */
function diskProblem(): string | false {
  try {
    mkdirSync(state)
    writeFileSync(disk, '')
    truncateSync(disk, 64 * 2 ** 20)
    execFileSync('mkfs.ext4', ['-q', '-F', disk], { stdio: 'pipe' })
    execFileSync('mount', ['-o', `loop,commit=${COMMIT_SECONDS}`, disk, state], { stdio: 'pipe' })
    return false
  } catch (error) {
    return (error as Error).message
  }
}

/** What a power cut would leave of the disk now, mounted while `look` runs. */
function afterPowerCut(look: (state: string) => void): void {
  // A new one each time: a sandbox of another test may keep the one before mounted.
  const own = mkdtempSync(join(dir, 'cut-'))
  const [cut, at] = [join(own, 'disk.img'), join(own, 'state')]
  copyFileSync(disk, cut)
  mkdirSync(at)
  execFileSync('mount', ['-o', 'loop', cut, at])
  try {
    look(at)
  } finally {
    execFileSync('umount', [at])
  }
}

it('a power cut leaves which users functions have been given, also where it takes their homes', {
  skip: noDisk,
}, async (t) => {
  const folder = join(state, 'functions')
  const names = ['a', 'b', 'c']
  let homes = 0
  for (const [index, name] of names.entries()) {
    const uid = await openUser({ folder, uids: UIDS }, name)
    const given = names.slice(0, index + 1).map((each, at) => ({ name: each, uid: UIDS.first + at }))
    assert.equal(uid, given.at(-1)?.uid)
    afterPowerCut((found) => {
      const lines = readFileSync(join(found, 'functions', 'users'), 'utf8')
        .trim()
        .split('\n')
      assert.deepEqual(
        lines.map((line) => JSON.parse(line)),
        given,
      )
      if (existsSync(join(found, 'functions', 'homes', name))) homes++
    })
  }
  t.diagnostic(`${homes} of ${names.length} homes were left as well`)
})

it('functions that are new at the same time wait for the disk together', { skip: noDisk }, async () => {
  const folder = join(state, 'together')
  await openUser({ folder, uids: UIDS }, 'first')
  const turns = commits()
  const uids = await Promise.all(
    Array.from({ length: 300 }, (_, index) => openUser({ folder, uids: UIDS }, `f${index}`)),
  )
  assert.equal(new Set(uids).size, 300)
  // Another test may have the whole machine's disks written meanwhile.
  assert.ok(commits() - turns <= 10, `${commits() - turns} turns of the journal`)
})

/** How often the journal of the disk has been written. */
function commits(): number {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  const [device = ''] = mounts.map((line) => line.split(' ')).find(([, at]) => at === realpathSync(state)) ?? []
  const info = readFileSync(`/proc/fs/jbd2/${basename(device)}-8/info`, 'utf8')
  return Number(/^(\d+) transactions/.exec(info)?.[1])
}
