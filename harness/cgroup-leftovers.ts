import { existsSync } from 'node:fs'
import { killCgroup } from '../src/os/linux/cgroup-files.js'
import { cgroupFolder, closeCgroups, findCgroupPlace } from '../src/os/linux/cgroups.js'
import { onExit } from './on-exit.js'

const ATTEMPTS = 50
const WAIT_MS = 10

/** Removes the cgroups of a killed agent: in a test its next start may never come. */
export function removeCgroupsAtExit(stateDir: string): void {
  const place = process.platform === 'linux' ? findCgroupPlace() : { kind: 'none' as const }
  // The agent shares the cgroup of the test runner.
  if (place.kind !== 'shared') return
  const dir = cgroupFolder(place, stateDir)
  onExit(() => {
    for (let attempt = 0; existsSync(dir) && attempt < ATTEMPTS; attempt++) {
      killCgroup(dir)
      closeCgroups({ dir }, [])
      if (existsSync(dir)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS)
    }
  })
}
