// The version and time of packages.
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const manifest = join(import.meta.dirname, '..', 'package.json')

export const VERSION = JSON.parse(readFileSync(manifest, 'utf8')).version

/** The time of every file in a package, seconds: the last commit's, so that equal sources give equal bytes. */
export const RELEASE_TIME = Number(process.env.SOURCE_DATE_EPOCH ?? commitTime() ?? archivedTime())

function commitTime() {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: import.meta.dirname })
  return status === 0 ? stdout.toString().trim() : undefined
}

/** An exported commit has no history, but its files have the commit's time. */
function archivedTime() {
  return Math.floor(statSync(manifest).mtimeMs / 1000)
}
