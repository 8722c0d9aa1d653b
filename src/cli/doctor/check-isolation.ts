import type { AgentConfig } from '../../config/config.js'
import { aggregateText, unenforcedLimits } from '../../host/limits.js'
import { asksForSeparate } from '../../host/run-as.js'
import type { InspectedIsolation } from '../../os/platform.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** Checks whether the launcher starts functions, and which limits are enforced. */
export function checkIsolation(config: AgentConfig, inspected: InspectedIsolation): Finding[] {
  const { isolation, functions } = config
  const { problem, notSeparate, unboundedDisk, unenforced, cgroups, aggregate = {} } = inspected
  const wrong = isolation.required ? fail : warn
  const findings: Finding[] = []
  if (problem) findings.push(wrong('launcher', problem, 'install a C compiler and run `npm run build`'))
  else if (process.platform !== 'win32') findings.push(ok('launcher', 'starts functions, and kills all they leave'))

  if (asksForSeparate(config)) {
    findings.push(
      notSeparate
        ? wrong('separation', `functions cannot be kept apart: ${notSeparate}`, 'or give functions.isolation: shared')
        : ok('separation', 'each function is a user of its own, in a sandbox'),
    )
  }
  if (asksForSeparate(config) && functions.diskBytes > 0 && unboundedDisk) {
    const fix = 'put state_dir on a file system with user quotas, or install e2fsprogs; or give functions.disk_bytes: 0'
    findings.push(wrong('disk', `functions.disk_bytes cannot be enforced: ${unboundedDisk}`, fix))
  }
  if (cgroups) findings.push(ok('cgroups', `executions get theirs below ${cgroups}`))

  const enforced = [
    ...(unenforced.memory ? [] : ['memory_mb']),
    ...(unenforced.cpu ? [] : ['cpu_millicores']),
    ...(unenforced.processes || isolation.maxProcesses === 0 ? [] : ['max_processes']),
  ]
  if (enforced.length > 0) findings.push(ok('limits', `enforced on this node: ${enforced.join(', ')}`))
  const together = aggregateText(aggregate)
  if (together) findings.push(ok('limits', together))
  const fix = problem ? 'see launcher' : fixOf(cgroups)
  findings.push(...unenforcedLimits(unenforced, isolation.maxProcesses).map((line) => wrong('limits', line, fix)))
  return findings
}

function fixOf(cgroups: string | undefined): string {
  if (process.platform === 'win32') return 'give functions memory_mb 0 and cpu_millicores 0'
  return cgroups
    ? 'boot with systemd.unified_cgroup_hierarchy=1, or enable the controller in every cgroup above'
    : 'run the agent as root on Linux with cgroup v2'
}
