import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS } from '../../generated/native/launcher-protocol.js'
import type { CgroupController } from '../platform.js'

/** Enables controllers for the cgroups below a folder; answers those that could be enabled (cgroups(7)). */
export function enableControllers(dir: string, controllers: readonly CgroupController[]): CgroupController[] {
  // One by one: written together, one refusal rejects all.
  return controllers.filter((controller) => {
    try {
      writeFileSync(join(dir, 'cgroup.subtree_control'), `+${controller}`)
      return true
    } catch {
      return false
    }
  })
}

/** Sends SIGKILL to every process in a cgroup and below it. No effect where the cgroup no longer exists. */
export function killCgroup(dir: string): void {
  try {
    // The usual flags would create a missing file, which fails with EACCES there.
    writeFileSync(join(dir, 'cgroup.kill'), '1', { flag: 'r+' })
  } catch (error) {
    // The file exists since Linux 5.14.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') killEach(dir)
  }
}

/** Resolves once a killed cgroup and those below are empty, or after DEATH_LIMIT_MS; answers whether they are. */
export async function emptied(dir: string): Promise<boolean> {
  const deadline = performance.now() + KILL_LIMIT_MS
  for (let wait = 1; isPopulated(dir); wait = Math.min(2 * wait, 50)) {
    if (performance.now() > deadline) return false
    await sleep(wait)
    killCgroup(dir)
  }
  return true
}

/** Removes a cgroup and those below it, where empty; answers whether it no longer exists. */
export function removeTree(dir: string): boolean {
  for (const child of childrenOf(dir)) removeTree(join(dir, child))
  try {
    rmdirSync(dir)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Names of the child cgroups. */
export function childrenOf(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return []
  }
}

function isPopulated(dir: string): boolean {
  try {
    return /^populated 1$/m.test(readFileSync(join(dir, 'cgroup.events'), 'latin1'))
  } catch {
    return false
  }
}

function killEach(dir: string): void {
  for (const child of childrenOf(dir)) killEach(join(dir, child))
  for (const pid of processesOf(dir)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}

/** Pids of the processes in a cgroup, as far as this process can name them. */
function processesOf(dir: string): number[] {
  try {
    const pids = readFileSync(join(dir, 'cgroup.procs'), 'latin1').match(/\d+/g) ?? []
    // 0 stands for a process of another PID namespace; kill(2) would take it for the agent's own group.
    return pids.map(Number).filter((pid) => pid > 0)
  } catch {
    return []
  }
}
