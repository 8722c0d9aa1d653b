import type { AgentConfig } from '../../config/config.js'
import type { Facts } from '../metrics/sources.js'
import type { Host } from './prepare-host.js'

/** How this agent is set up, in words, for the page. `current`: the configuration in use. */
export function factsOf(current: AgentConfig, { users, starter, limits, survives, appsDir }: Host): Facts {
  const launcher = starter.kind === 'launcher' ? starter : undefined
  const controllers = launcher?.cgroups?.controllers.join(', ')
  const together = launcher?.cgroups?.aggregate
  return {
    limits: {
      'executions at once': orNone(current.maxTasks),
      'executions that wait': `${current.maxQueued}`,
      'output of one execution': mebibytes(current.maxOutputBytes),
      'processes of one execution': orNone(current.isolation.maxProcesses),
      'memory of all executions': together?.memoryMb === undefined ? 'no limit' : `${together.memoryMb} MB`,
      'processes of all executions': orNone(together?.processes ?? 0),
      'not enforced here': Object.keys(limits.unenforced).join(', ') || 'nothing',
    },
    isolation: {
      'functions run as': users.kind === 'agent' ? "the agent's own user" : users.runAs.name,
      'functions are': users.kind === 'separate' ? 'separate, each a user of its own' : 'not kept apart',
      'their network': current.functions.network,
      'started by': launcher ? 'the launcher' : 'child_process',
      cgroups: launcher?.cgroups ? `${launcher.cgroups.dir} (${controllers || 'no controllers'})` : 'none',
      'async executions outlive the agent': survives ? `for ${current.surviveSeconds} s` : 'no',
      'code is in': appsDir,
    },
  }
}

function orNone(limit: number): string {
  return limit === 0 ? 'no limit' : `${limit}`
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
