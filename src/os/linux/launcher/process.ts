import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import type { CgroupParent, StarterSetup } from '../../platform.js'
import { emptied, enableControllers, killCgroup, removeTree } from '../cgroup-files.js'
import { openNamedPipe, type Pipe, readInto } from '../pipe.js'
import { groupDead, killGroup, killTagged } from '../process-group.js'
import { EventParser, type LauncherEvents } from './events.js'

const READ_BYTES = 65_536
const MKFIFO_LIMIT_MS = 40_000

let made = 0

/** One launcher: its process, two streams and cgroup folder. */
export class LauncherProcess {
  private readonly child: ChildProcess
  private readonly requests: Socket
  private readonly cgroup: string | undefined
  private readonly left: Promise<unknown>
  private waiting: Buffer[] = []
  private closing = false

  constructor(
    { program, cgroups, scratchDir, tmpdirs }: StarterSetup & { readonly kind: 'launcher' },
    events: LauncherEvents,
    /** Called when it died without being closed, after all its events. */
    died: (how: string) => void,
  ) {
    this.cgroup = cgroups && makeCgroup(cgroups)
    const pipe = makePipe(scratchDir)
    this.child = spawn(program, [this.cgroup ?? '-', ...(tmpdirs ? [tmpdirs] : [])], {
      cwd: '/',
      env: {},
      detached: true,
      stdio: ['pipe', pipe.writeFd, 'inherit'],
    })
    closeSync(pipe.writeFd)
    this.requests = this.child.stdin as Socket
    // The close event reports it.
    this.requests.on('error', () => {})
    const parser = new EventParser(events)
    const reader = readInto(Buffer.allocUnsafeSlow(READ_BYTES), pipe.readFd, (chunk) => parser.push(chunk))
    let failure = ''
    this.child.once('error', (error) => {
      failure = error.message
    })
    this.left = Promise.allSettled([once(this.child, 'close'), once(reader, 'close')])
    void this.left.then(() => {
      const { exitCode, signalCode } = this.child
      if (!this.closing) died(failure || (signalCode ?? `exit code ${exitCode}`))
      else if (this.cgroup) removeTree(this.cgroup)
    })
  }

  /** Sends a frame; all frames of one turn of the event loop take one write. */
  send(frame: Buffer): void {
    this.waiting.push(frame)
    if (this.waiting.length === 1) process.nextTick(() => this.flush())
  }

  /** Makes it kill everything, which is reported as usual, and exit. */
  async close(): Promise<void> {
    this.closing = true
    this.flush()
    this.requests.end()
    await this.left
  }

  /** After its death: kills what it ran, and resolves when that is dead. `pids`: the leaders. */
  async killRemains(pids: readonly number[]): Promise<void> {
    if (this.cgroup) {
      killCgroup(this.cgroup)
      await emptied(this.cgroup)
      removeTree(this.cgroup)
      return
    }
    for (const pid of pids) killGroup(pid)
    killTagged(new Set(pids))
    await Promise.all(pids.map((pid) => groupDead(pid)))
  }

  private flush(): void {
    const { waiting } = this
    if (waiting.length === 0) return
    this.waiting = []
    if (this.requests.writable)
      this.requests.write(waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting))
  }
}

function makePipe(dir: string): Pipe {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const path = join(dir, `events-${process.pid}-${threadId}-${made++}`)
  // Limited: this thread blocks on it, and the end of this process waits for the thread.
  execFileSync('mkfifo', ['-m', '0600', path], { timeout: MKFIFO_LIMIT_MS, killSignal: 'SIGKILL' })
  return openNamedPipe(path)
}

function makeCgroup({ dir, controllers }: CgroupParent): string {
  const cgroup = join(dir, `worker-${process.pid}-${threadId}-${made++}`)
  mkdirSync(cgroup)
  enableControllers(cgroup, controllers)
  return cgroup
}
