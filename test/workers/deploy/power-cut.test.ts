import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
function afterPowerCut<T>(look: (state: string) => T): T {
  const [cut, at] = [join(dir, 'cut.img'), join(dir, 'cut')]
  copyFileSync(disk, cut)
  mkdirSync(at, { recursive: true })
  execFileSync('mount', ['-o', 'loop', cut, at])
  try {
    return look(at)
  } finally {
    execFileSync('umount', [at])
  }
}

it('a power cut leaves users set aside, also those of functions whose homes it takes', { skip: noDisk }, async (t) => {
  const folder = join(state, 'functions')
  const left = async (name: string) => {
    const uid = await openUser({ folder, uids: UIDS }, name)
    return afterPowerCut((found) => ({
      uid,
      last: Number(readFileSync(join(found, 'functions', 'users-set-aside'), 'utf8').split(' ')[1]),
      home: existsSync(join(found, 'functions', 'homes', name)),
    }))
  }
  const [first, second] = [await left('a'), await left('b')]
  for (const { uid, last } of [first, second]) assert.ok(last >= uid, `${last} ${uid}`)
  assert.notEqual(first.uid, second.uid)
  t.diagnostic(`the second home: ${second.home ? 'left' : 'lost'}`)
})
