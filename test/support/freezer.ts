import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'

/** A process in a frozen cgroup v1 does not even die of SIGKILL, like one that hangs in the kernel. */
const FREEZER = '/sys/fs/cgroup/freezer'
export const noFreezer =
  process.getuid?.() === 0 && existsSync(`${FREEZER}/cgroup.procs`) ? false : 'needs root and the freezer of cgroup v1'

let made = 0

/** Answers what undoes it, which may be done twice. The group is removed at the end of this process. */
export async function freeze(...pids: readonly number[]): Promise<() => Promise<void>> {
  const frozen = `${FREEZER}/test-${process.pid}-${made++}`
  mkdirSync(frozen)
  for (const pid of pids) writeFileSync(`${frozen}/cgroup.procs`, String(pid))
  const set = async (state: string) => {
    writeFileSync(`${frozen}/freezer.state`, state)
    await eventually(state, () => readFileSync(`${frozen}/freezer.state`, 'utf8') === `${state}\n`)
  }
  await set('FROZEN')
  onExit(() => {
    try {
      rmdirSync(frozen)
    } catch {
      // What is still in it has outlived its test, which has failed for that.
    }
  })
  return () => set('THAWED')
}
