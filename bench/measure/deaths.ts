import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { onExit } from '../../harness/on-exit.js'
import { nativeProgram } from './native.js'

/** Processes that are watched until they die. */
export interface Watch {
  /** The time of the last death, by `clockMs`; undefined where one still lives after `limitMs`. */
  last(limitMs: number): Promise<number | undefined>
  /** Pids that still live. */
  alive(): number[]
}

/** The kernel's monotonic clock, common to all processes. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Watches deaths in a program of its own: this process is busy with the measured call. */
export class Deaths {
  private readonly watcher: ChildProcessWithoutNullStreams
  private readonly watching = new Map<number, () => void>()
  private readonly dying = new Map<number, (at: number) => void>()

  constructor() {
    this.watcher = spawn(nativeProgram('deaths'))
    onExit(() => this.watcher.kill())
    createInterface(this.watcher.stdout).on('line', (line) => this.hear(line))
  }

  /** Resolves once all their deaths will be noticed. */
  async watch(pids: readonly number[]): Promise<Watch> {
    const ready = pids.map((pid) => new Promise<void>((resolve) => this.watching.set(pid, resolve)))
    const alive = new Set(pids)
    const deaths = pids.map(
      (pid) =>
        new Promise<number>((resolve) => {
          this.dying.set(pid, (at) => {
            alive.delete(pid)
            resolve(at)
          })
        }),
    )
    this.watcher.stdin.write(pids.map((pid) => `${pid}\n`).join(''))
    await Promise.all(ready)
    const all = Promise.all(deaths).then((times) => Math.max(...times))
    return {
      last: (limitMs) => Promise.race([all, sleep(limitMs, undefined, { ref: false })]),
      alive: () => [...alive],
    }
  }

  async close(): Promise<void> {
    this.watcher.stdin.end()
    await once(this.watcher, 'exit')
  }

  private hear(line: string): void {
    const [what, number, at] = line.split(' ')
    const pid = Number(number)
    if (what === 'missing') throw new Error(`process ${pid} has ended before it was to be cancelled`)
    if (what === 'watching') {
      this.watching.get(pid)?.()
      this.watching.delete(pid)
    } else if (what === 'dead') {
      this.dying.get(pid)?.(Number(at) / 1e6)
      this.dying.delete(pid)
    }
  }
}
