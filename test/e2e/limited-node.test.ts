import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { onExit } from '../../harness/on-exit.js'
import { describeLimitedNode } from '../support/limited-node.js'

const ROOT = '/sys/fs/cgroup'

const versionOne = existsSync(`${ROOT}/memory/memory.limit_in_bytes`) && existsSync(`${ROOT}/cpu/cpu.cfs_quota_us`)
const skip =
  process.getuid?.() === 0 && versionOne && availableParallelism() > 1 ? false : 'needs root, two cores and cgroup v1'

describeLimitedNode('a node that is limited by cgroups of version 1', skip, () => {
  const [memory = '', cpu = '', cpuacct = ''] = ['memory', 'cpu', 'cpuacct'].map((controller) => {
    const dir = `${ROOT}/${controller}/flux-test-limited-${process.pid}`
    mkdirSync(dir)
    onExit(() => {
      try {
        rmdirSync(dir)
      } catch {
        // Something still runs in it.
      }
    })
    return dir
  })
  writeFileSync(`${memory}/memory.limit_in_bytes`, String(700 << 20))
  writeFileSync(`${cpu}/cpu.cfs_quota_us`, '50000')
  const enter = [memory, cpu, cpuacct].map((dir) => `echo $$ >${dir}/cgroup.procs`).join(' && ')
  return { memoryMb: 700, through: ['/bin/sh', '-c', `${enter} && exec "$@"`, 'sh'] }
})
