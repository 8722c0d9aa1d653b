import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { launchersOf } from '../../../harness/launchers.js'
import { descriptorCounts, ownMemoryMiB } from '../../../harness/proc.js'
import { describeSeparate } from '../../support/describe-functions.js'

const FUNCTIONS = 10
const REDEPLOYS = process.env['CI'] ? 10 : 4
/** Of a launcher, whose memory is 200 KiB. */
const NO_MORE_MIB = 0.1

describeSeparate('functions that are deployed again and again', {}, ({ agent, calls, state }) => {
  /** Each leaves a file in every place that it keeps, and every third one in its folders for temporary files. */
  const deployAndRun = async (round: number) => {
    for (let at = 0; at < FUNCTIONS; at++) {
      const name = `redeployed-${at}`
      const left = at % 3 === 0 ? 'echo > /tmp/left;' : ''
      await calls.script(
        name,
        `${left} cd "$TMPDIR" && mkdir -p "$XDG_CACHE_HOME" && echo ${round} | tee left "$HOME/left" "$XDG_CACHE_HOME/left"`,
      )
      const { output, error } = await calls.execute({ function_name: name })
      assert.deepEqual({ error, output: output.toString() }, { error: '', output: `${round}\n` })
    }
  }

  /** What the agent and its launcher hold, and what there is on disk. */
  const held = () => {
    const pids = [agent.pid, ...launchersOf(agent.pid)]
    return {
      descriptors: pids.map(openFiles),
      mounts: pids.map((pid) => mountsBelow(pid, [state(), agent.dir])),
      loops: loopsBelow(state()),
      files: ['functions', 'run'].map((folder) => filesBelow(join(state(), folder))),
    }
  }

  it('leave no descriptor, mount, loop device or file more', async (t) => {
    for (let round = 0; round < 2; round++) await deployAndRun(round)
    const [launcher = 0] = launchersOf(agent.pid)
    const memory = ownMemoryMiB(launcher)
    const before = await eventually('nothing is removed any more', async () => {
      const now = held()
      return cachesIn(state()) === FUNCTIONS && !/\/caches\/|pidfd/.test(JSON.stringify(now)) ? now : undefined
    })
    for (let round = 0; round < REDEPLOYS; round++) await deployAndRun(round)
    // What is replaced is removed in the background.
    const after = await eventually('nothing is left of what was replaced', async () => {
      const now = held()
      return JSON.stringify(now) === JSON.stringify(before) ? now : undefined
    }).catch(() => held())
    assert.deepEqual(after, before)
    const more = ownMemoryMiB(launcher) - memory
    t.diagnostic(`${(more * 1024).toFixed(0)} KiB more memory of the launcher, which has ${(memory * 1024).toFixed(0)}`)
    assert.ok(more < NO_MORE_MIB)
  })
})

/** How many descriptors are of each file. Other tests add users meanwhile: so those files may be deleted ones, or not. */
function openFiles(pid: number): Readonly<Record<string, number>> {
  const counts = Object.entries(descriptorCounts(pid))
  return Object.fromEntries(
    counts.map(([path, count]) => [path.replace(/^(\/etc\/(passwd|group)) \(deleted\)$/, '$1'), count]),
  )
}

/** Other tests mount, too. */
function mountsBelow(pid: number, folders: readonly string[]): string[] {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
  return mounts.filter((line) => folders.some((folder) => line.includes(`${folder}/`)))
}

/** How many loop devices are of files below a folder. */
function loopsBelow(folder: string): number {
  const loops = readdirSync('/sys/block').filter((name) => name.startsWith('loop'))
  return loops.filter((name) => backingFile(name).startsWith(`${folder}/`)).length
}

function backingFile(loop: string): string {
  try {
    return readFileSync(`/sys/block/${loop}/loop/backing_file`, 'utf8')
  } catch {
    return ''
  }
}

/** How many versions have caches. */
function cachesIn(folder: string): number {
  const caches = join(folder, 'functions', 'caches')
  return readdirSync(caches).reduce((sum, name) => sum + readdirSync(join(caches, name)).length, 0)
}

/** How many files and folders there are, caches of versions included. */
function filesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true }).length
}
