import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { onExit } from '../../../harness/on-exit.js'
import { mountsOf } from './mounts.js'

/** A host of the test's own: a mount namespace in which all mounts are shared, as systemd has it. */
export class Host {
  private constructor(private readonly holder: ChildProcess) {}

  static async open(): Promise<Host> {
    const args = ['--mount', '--propagation', 'shared', 'sh', '-c', 'echo on; exec cat']
    const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' })
    onExit(() => holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    holder.unref()
    for (const stream of [holder.stdin, holder.stdout]) (stream as Socket).unref()
    return new Host(holder)
  }

  /** Executes a command on it. */
  get through(): readonly string[] {
    return ['nsenter', '-t', String(this.holder.pid), '-m', '--']
  }

  run(lines: string): string {
    const [program, ...rest] = this.through as [string, ...string[]]
    return execFileSync(program, [...rest, 'sh', '-c', lines], { encoding: 'utf8', cwd: '/' })
  }

  /** `own`: the test's folder. */
  mounts(own: string): string {
    return mountsOf(this.holder.pid as number, own)
  }

  async close(): Promise<void> {
    this.holder.ref()
    const ended = once(this.holder, 'exit')
    this.holder.stdin?.end()
    await ended
  }
}
