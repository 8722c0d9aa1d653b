import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { platform } from '../os/index.js'
import { makeFolders } from '../os/make-folders.js'
import { ForeignFile, foreignProblem, readOwnFile } from '../os/owned-file.js'
import { atPath } from '../os/system-failure.js'

/** Another agent uses the state folder. */
export class StateDirInUse extends Error {
  override readonly name = 'StateDirInUse'
  readonly code = 'STATE_DIR_IN_USE'
}

/**
 * Locks the state folder, so that no second agent replays writes that the first still has. A lock of a dead process is
 * ignored. Answers a function that unlocks. Throws StateDirInUse, and ForeignFile where root would use another user's
 * folder. Blocks; at the start.
 */
export function lockStateDir(stateDir: string): () => void {
  makeFolders(stateDir, 0o700)
  const problem = foreignProblem(stateDir, statSync(stateDir))
  if (problem) throw new ForeignFile(`state_dir: ${problem}`)
  const file = lockFile(stateDir)
  const own = `${process.pid} ${platform.processStartTime(process.pid)}\n`
  for (;;) {
    try {
      atPath(file, () => writeFileSync(file, own, { flag: 'wx', mode: 0o600 }))
      return () => rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const pid = lockHolder(stateDir)
    if (pid !== undefined && pid !== process.pid) {
      throw new StateDirInUse(
        `${stateDir} is in use by process ${pid}; stop it, or give this agent a state_dir of its own`,
      )
    }
    rmSync(file, { force: true })
  }
}

/**
 * The pid of the agent that holds the lock, checked by its start time; undefined where none does. Throws ForeignFile
 * where root would trust another user's lock.
 */
export function lockHolder(stateDir: string): number | undefined {
  const [pid, startTime] = readLock(stateDir).trim().split(' ')
  return pid && startTime && platform.processStartTime(Number(pid)) === startTime ? Number(pid) : undefined
}

function readLock(stateDir: string): string {
  try {
    return readOwnFile(lockFile(stateDir)).toString()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

function lockFile(stateDir: string): string {
  return join(stateDir, 'agent.lock')
}
