import type { AgentConfig } from '../config/config.js'
import type { Log } from '../log/log.js'
import { platform } from '../os/index.js'
import type { RunAs } from '../os/platform.js'
import { StartRefused } from './start-refused.js'

/** The user that functions run as; undefined: the agent's own. Throws StartRefused. Blocks; at the start. */
export function resolveRunAs({ runAs, allowRoot, file = 'configuration' }: AgentConfig, log: Log): RunAs | undefined {
  if (runAs.kind === 'self') {
    log.warn("run_as is self: functions run as the agent's own user and can reach all that it can")
    return undefined
  }
  if (!platform.canSwitchUser()) {
    log.warn(`not root: functions run as the agent's own user, not as ${runAs.name}`)
    return undefined
  }
  const user = platform.findUser(runAs.name)
  if (user?.uid === 0 && !allowRoot) throw new StartRefused(`${file}: run_as: ${rootProblem(user.name)}`)
  if (user) return user
  throw new StartRefused(
    `${file}: run_as: user ${runAs.name} does not exist; create it: ${platform.createUserHint(runAs.name)}`,
  )
}

/** Whether each function shall be a user of its own, and the agent may switch users: whether the system can is not said. */
export function asksForSeparate({ functions, runAs }: AgentConfig): boolean {
  return functions.separate && runAs.kind === 'user' && platform.canSwitchUser()
}

/** Why a runner that is root is refused. */
export function rootProblem(name: string): string {
  return `user ${name} is root: functions could do anything to this machine; give a user of their own, or allow_root: true as well`
}

/**
 * A warning where functions run as another user and can command the agent nevertheless: without TLS it accepts commands
 * from everybody on this machine. With the fix, for the log and doctor.
 */
export function commandedByFunctions({ tls, host, port }: AgentConfig, runAs: RunAs | undefined): string | undefined {
  if (tls || !runAs) return undefined
  return `without TLS functions, which run as ${runAs.name}, can command this agent on ${host} port ${port}: give the tls keys`
}
