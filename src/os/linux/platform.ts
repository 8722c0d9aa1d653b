import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants, userInfo } from 'node:os'
import { dirname } from 'node:path'
import { isatty } from 'node:tty'
import { pidUsage } from '../pidusage.js'
import type { Platform, RunAs } from '../platform.js'
import { ChildProcessStarter } from './child-process-starter.js'
import { Nftables } from './firewall/nftables.js'
import { inspectIsolation, isolate, release } from './isolation.js'
import { keptLaunchers } from './launcher/kept-launchers.js'
import { LauncherStarter } from './launcher/launcher-starter.js'
import { executionsGroups, nodeResources } from './node-resources.js'
import { takeServiceNotifier } from './notifier.js'
import { portHolder } from './port-holder.js'
import { renice } from './priority.js'
import { killGroup } from './process-group.js'
import { processStat } from './process-stat.js'
import { firstLineProblem } from './program/first-line.js'
import { within } from './program/probe.js'
import { nativeProblem, programProblem } from './program/program.js'
import { strings } from './program/string-limits.js'
import { cgroupUse, procUsage } from './usage.js'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export const linux: Platform = {
  isolate,
  inspectIsolation,
  keptLaunchers,
  release,
  firewall: (stateDir, scratchDir) => new Nftables(stateDir, scratchDir),
  takeServiceNotifier,
  onStopRequest(stop) {
    process.on('SIGTERM', (signal) => stop(signal))
    process.on('SIGHUP', (signal) => terminalHasGone() && stop(signal))
  },
  onReloadRequest: (reload) => void process.on('SIGHUP', () => terminalHasGone() || reload()),
  requestStop: async (pid) => void process.kill(pid, 'SIGTERM'),
  onHandoverRequest: (handOver) => void process.on('SIGUSR2', handOver),
  requestHandover,
  handlerProblem: () => undefined,
  programProblem: (file) =>
    within(
      async () =>
        (await programProblem(file, dirname(file)))?.text ??
        (await firstLineProblem(file, PATH)) ??
        (await nativeProblem(file)),
    ),
  strings,
  createStarter(setup) {
    return setup.kind === 'launcher' ? new LauncherStarter(setup) : new ChildProcessStarter(setup.scratchDir)
  },
  renice,
  killGroup,
  processStartTime,
  nodeResources: () => nodeResources(executionsGroups()),
  portHolder,
  usage: process.platform === 'linux' ? procUsage : pidUsage,
  executionsUse: async (setup) =>
    setup.kind === 'launcher' && setup.cgroups ? cgroupUse(setup.cgroups.dir) : undefined,
  findUser,
  canSwitchUser: () => process.getuid?.() === 0,
  createUserHint: (name) => `useradd --system --create-home --home-dir /home/${name} --shell /usr/sbin/nologin ${name}`,
  baseEnvironment(runAs) {
    const { name, home } = runAs ?? ownUser()
    return {
      PATH,
      HOME: home,
      USER: name,
      LOGNAME: name,
      LANG: 'C.UTF-8',
      TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
      TMPDIR: '/tmp',
      // Without it, tput and others fail, and with them scripts under `sh -e`.
      TERM: 'dumb',
    }
  },
}

function ownUser(): { name: string; home: string } {
  try {
    const { username, homedir } = userInfo()
    return { name: username, home: homedir }
  } catch {
    // A container may run with a uid that is not in its passwd file.
    return { name: String(process.getuid?.()), home: process.env['HOME'] ?? '/' }
  }
}

function findUser(name: string): RunAs | undefined {
  const line = ask('getent', 'passwd', '--', name)
  const [user, , uid, gid, , home] = line?.split(':') ?? []
  if (!user || !uid || !gid || !home) return undefined
  const groups = (ask('id', '-G', '--', name) ?? '').split(' ').filter((group) => group !== '' && group !== gid)
  return { name: user, uid: Number(uid), gid: Number(gid), home, groups: groups.map(Number) }
}

/** A command's output; undefined where it fails. */
function ask(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Without a handler, as in earlier versions of the agent, the signal would kill it (signal(7)). */
async function requestHandover(pid: number): Promise<void> {
  const [, caught = '0'] = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  const bit = 1n << BigInt(constants.signals.SIGUSR2 - 1)
  if ((BigInt(`0x${caught}`) & bit) === 0n) throw new Error('it is of a version that cannot; use stop')
  process.kill(pid, 'SIGUSR2')
}

function processStartTime(pid: number): string | undefined {
  const stat = processStat(pid)
  return stat && stat.state !== 'Z' ? String(stat.startTicks) : undefined
}

const startedInTerminal = isatty(2)

/** Whether SIGHUP means that the terminal of this process was closed, and not a reload. */
function terminalHasGone(): boolean {
  return startedInTerminal && !isatty(2)
}
