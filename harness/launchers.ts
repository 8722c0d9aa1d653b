import { readdirSync, readFileSync } from 'node:fs'
import { inspectIsolation } from '../src/os/linux/isolation.js'
import { onExit } from './on-exit.js'
import { childrenOf } from './proc.js'
import { killIfLeft } from './processes.js'

/** Why tests of the launcher are skipped; undefined where agents use it. */
export const noLauncher: string | undefined =
  process.platform === 'linux' ? inspectIsolation().problem : 'only Linux has a launcher'

/** Why tests of functions that are kept apart are skipped; undefined where agents that are root do so. */
export const notSeparate: string | undefined =
  process.platform === 'linux' ? inspectIsolation().notSeparate : 'only Linux can'

/** Pids of an agent's launchers, one for each worker. */
export function launchersOf(agentPid: number): number[] {
  return childrenOf(agentPid).flatMap(({ pid, command }) => (command === 'launcher' ? [pid] : []))
}

/** Pids of the launchers that an agent with this state folder has started, whether it lives or not: by its apps folder. */
export function launchersBelow(stateDir: string): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
  return pids.filter((pid) => isLauncherBelow(stateDir, commandOf(pid))).map(Number)
}

function isLauncherBelow(stateDir: string, command: string): boolean {
  const [program = '', ...args] = command.split('\0')
  return program.endsWith('/launcher') && args.some((arg) => arg.startsWith(`${stateDir}/`))
}

/** Kills them when this process ends: in a test the next agent may never come. */
export function killLaunchersAtExit(stateDir: string): void {
  if (process.platform !== 'linux') return
  onExit(() => {
    for (const pid of launchersBelow(stateDir)) killIfLeft(pid)
  })
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
