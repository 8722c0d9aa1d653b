import { platform } from '../src/os/index.js'
import { childrenOf } from './proc.js'

/** Why tests of the launcher are skipped; undefined where agents use it. */
export const noLauncher: string | undefined =
  process.platform === 'linux' ? platform.inspectIsolation().problem : 'only Linux has a launcher'

/** Pids of an agent's launchers, one for each worker. */
export function launchersOf(agentPid: number): number[] {
  return childrenOf(agentPid).flatMap(({ pid, command }) => (command === 'launcher' ? [pid] : []))
}
