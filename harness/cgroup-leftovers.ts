import { existsSync } from 'node:fs'
import { killCgroup } from '../src/os/linux/cgroup-files.js'
import { cgroupFolder, closeCgroups, findCgroupPlace } from '../src/os/linux/cgroups.js'
import { onExit } from './on-exit.js'

const ATTEMPTS = 50
const WAIT_MS = 10

/** An agent that was killed leaves its cgroups to its next start, which in a test may never come. */
export function removeCgroupsAtExit(stateDir: string): void {
  const place = process.platform === 'linux' ? findCgroupPlace() : { kind: 'none' as const }
  // Its own cgroup is that of whoever runs the tests.
  if (place.kind !== 'shared') return
  const dir = cgroupFolder(place, stateDir)
  onExit(() => {
    for (let attempt = 0; existsSync(dir) && attempt < ATTEMPTS; attempt++) {
      killCgroup(dir)
      closeCgroups({ dir, controllers: [] })
      if (existsSync(dir)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS)
    }
  })
}
