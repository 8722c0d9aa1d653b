import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isRunning } from '../../../../harness/processes.js'
import { writeDropIn } from './bootstrap.js'
import { eventuallyInGuest, mainPid, property, run, UNIT } from './machine.js'

const PROGRAM = '/usr/local/bin/stand-in'
const LEFT = '/run/stand-in.left'
const REFUSED = '/run/stand-in.refused'
const PAUSE_SECONDS = 3

/** Does with processes what an agent does: what it leaves has a cgroup in the unit for executions, and ignores SIGTERM. */
const SCRIPT = `#!/bin/sh
unit=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)
executions=\${unit%.service}-executions.service
leave() {
    mkdir -p "$executions/$1"
    sh -c 'trap "" TERM HUP; echo $$ >"$0/cgroup.procs"; echo $$ >>${LEFT}; exec setsid --fork sleep 600' "$executions/$1"
}
[ ! -e ${REFUSED} ] || exit 1
[ -e ${LEFT} ] || { : >${LEFT}; leave launchers; leave executions/0; }
trap 'echo drained; exit 0' TERM
trap 'exit 0' USR2
trap 'exec tail /dev/zero' USR1
sleep 600 &
until wait; do :; done
`

/** Puts a program in the place of the agent, which is started again after PAUSE_SECONDS. */
export function installStandIn(): void {
  mkdirSync('/usr/local/bin', { recursive: true })
  writeFileSync(PROGRAM, SCRIPT, { mode: 0o755 })
  const lines = ['Type=exec', 'ExecStart=', `ExecStart=${PROGRAM}`, `RestartSec=${PAUSE_SECONDS}`, 'RestartSteps=0']
  writeDropIn('stand-in', `[Service]\n${lines.join('\n')}\nWorkingDirectory=/\n`)
  run('systemctl', 'daemon-reload')
}

/** Starts it; answers the processes that it has left in the unit for executions. */
export async function startStandIn(): Promise<readonly number[]> {
  rmSync(LEFT, { force: true })
  startsAgain(true)
  run('systemctl', 'start', UNIT)
  return eventuallyInGuest('it has left processes', () => {
    const pids = [...new Set(inCgroup('launchers').concat(inCgroup('executions/0')))]
    return pids.length === 2 && pids.every(isRunning) ? pids : undefined
  })
}

/** Whether its next starts succeed. */
export function startsAgain(does: boolean): void {
  if (does) rmSync(REFUSED, { force: true })
  else writeFileSync(REFUSED, '')
}

/** Resolves when another process than this is the main one. */
export function startedAfter(pid: number): Promise<number> {
  return eventuallyInGuest('it is started again', () => {
    const another = property('SubState') === 'running' ? mainPid() : 0
    return another !== 0 && another !== pid ? another : undefined
  })
}

/** The processes of a cgroup of the unit for executions. */
function inCgroup(name: string): number[] {
  const group = run('systemctl', 'show', '--property', 'ControlGroup', '--value', 'flux-agent-executions.service')
  try {
    const pids = readFileSync(`/sys/fs/cgroup${group}/${name}/cgroup.procs`, 'utf8').match(/\d+/g) ?? []
    return pids.map(Number)
  } catch {
    return []
  }
}
