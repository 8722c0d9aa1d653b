import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { CgroupParent, StarterSetup } from '../../platform.js'
import { setAggregateLimits } from '../aggregate-limits.js'
import { enableControllers } from '../cgroup-files.js'
import { openNamedPipe, type Pipe, readInto } from '../pipe.js'
import { type Connection, READ_BYTES, socketName, writeTo } from './connection.js'
import { EventParser, type LauncherEvents } from './events.js'

const MKFIFO_LIMIT_MS = 40_000
const MKDIR_ATTEMPTS = 5
const NONE = '-'

/** Starts a launcher, whose first connection is its standard input and output. Throws the system's error. */
export function startLauncher(
  { program, cgroups, scratchDir, tmpdirs, surviveMs }: StarterSetup & { readonly kind: 'launcher' },
  name: string,
  events: LauncherEvents,
): Connection {
  const cgroup = cgroups && makeCgroup(cgroups, name)
  const pipe = makePipe(scratchDir, name)
  const survival = surviveMs > 0 ? [join(scratchDir, socketName(name)), String(surviveMs)] : []
  const child = spawn(program, [cgroup ?? NONE, tmpdirs ?? NONE, ...survival], {
    cwd: '/',
    env: {},
    detached: true,
    stdio: ['pipe', pipe.writeFd, 'inherit'],
  })
  closeSync(pipe.writeFd)
  if (cgroups?.launchers && child.pid !== undefined) moveInto(cgroups.launchers, child.pid)
  const requests = child.stdin as Socket
  // The close event reports it.
  requests.on('error', () => {})
  const parser = new EventParser(events)
  const reader = readInto(Buffer.allocUnsafeSlow(READ_BYTES), pipe.readFd, (chunk) => parser.push(chunk))
  let failure = ''
  child.once('error', (error) => {
    failure = error.message
  })
  const closed = Promise.allSettled([once(child, 'close'), once(reader, 'close')]).then(
    () => failure || (child.signalCode ?? `exit code ${child.exitCode}`),
  )
  return { write: (bytes) => writeTo(requests, bytes), end: () => void requests.end(), closed }
}

/** So that what becomes of the agent's cgroup does not concern the launcher. */
function moveInto(cgroup: string, pid: number): void {
  try {
    writeFileSync(join(cgroup, 'cgroup.procs'), String(pid))
  } catch {
    // It has ended, which is reported, or stays in the agent's.
  }
}

function makePipe(dir: string, name: string): Pipe {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const path = join(dir, `${name}.events`)
  // Limited: this thread blocks on it, and the end of this process waits for the thread.
  execFileSync('mkfifo', ['-m', '0600', path], { timeout: MKFIFO_LIMIT_MS, killSignal: 'SIGKILL' })
  return openNamedPipe(path)
}

/** A launcher that was left alone removes the folders above its own where they are empty, at any moment. */
function makeCgroup({ dir, controllers, aggregate }: CgroupParent, name: string): string {
  const cgroup = join(dir, name)
  for (let attempt = 1; ; attempt++) {
    try {
      for (const folder of [dirname(dir), dir, cgroup]) {
        mkdirSync(folder, { recursive: true })
        enableControllers(folder, controllers)
      }
      setAggregateLimits(dirname(dir), aggregate)
      return cgroup
    } catch (error) {
      if (attempt === MKDIR_ATTEMPTS) throw error
    }
  }
}
