import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS } from '../../generated/native/launcher-protocol.js'
import type { CgroupController } from '../platform.js'

/** Lets the cgroups below a folder be limited by these; answers those that could be enabled (cgroups(7)). */
export function enableControllers(dir: string, controllers: readonly CgroupController[]): CgroupController[] {
  // One by one: written together, one that is refused takes the others with it.
  return controllers.filter((controller) => {
    try {
      writeFileSync(join(dir, 'cgroup.subtree_control'), `+${controller}`)
      return true
    } catch {
      return false
    }
  })
}

/** SIGKILL to every process in a cgroup and below it; those of one that is gone already are dead. */
export function killCgroup(dir: string): void {
  try {
    // With the usual flags a file that is missing would be made, which is EACCES there.
    writeFileSync(join(dir, 'cgroup.kill'), '1', { flag: 'r+' })
  } catch (error) {
    // Before Linux 5.14 there is no such file.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') killEach(dir)
  }
}

/** Resolves once no process in a killed cgroup or below it lives, or after KILL_LIMIT_MS; answers which. */
export async function emptied(dir: string): Promise<boolean> {
  const deadline = performance.now() + KILL_LIMIT_MS
  for (let wait = 1; isPopulated(dir); wait = Math.min(2 * wait, 50)) {
    if (performance.now() > deadline) return false
    await sleep(wait)
    killCgroup(dir)
  }
  return true
}

/** Removes a cgroup and those below it as far as they are empty; answers whether it is gone. */
export function removeTree(dir: string): boolean {
  for (const child of childrenOf(dir)) removeTree(join(dir, child))
  try {
    rmdirSync(dir)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** The names of the cgroups right below. */
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
      // It has died.
    }
  }
}

/** Those right in a cgroup that this process can name. */
function processesOf(dir: string): number[] {
  try {
    const pids = readFileSync(join(dir, 'cgroup.procs'), 'latin1').match(/\d+/g) ?? []
    // 0 is one in another PID namespace; as a target of kill(2) it would be the agent's own group.
    return pids.map(Number).filter((pid) => pid > 0)
  } catch {
    return []
  }
}
