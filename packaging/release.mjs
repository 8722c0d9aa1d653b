// Of which version and time the packages are.
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const manifest = join(import.meta.dirname, '..', 'package.json')

export const VERSION = JSON.parse(readFileSync(manifest, 'utf8')).version

/** What every file in a package is dated, in seconds: the last commit's time, so that the same sources give the same bytes. */
export const RELEASE_TIME = Number(process.env.SOURCE_DATE_EPOCH ?? commitTime() ?? archivedTime())

function commitTime() {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: import.meta.dirname })
  return status === 0 ? stdout.toString().trim() : undefined
}

/** An archive of a commit has no history, but its files have the commit's time. */
function archivedTime() {
  return Math.floor(statSync(manifest).mtimeMs / 1000)
}
