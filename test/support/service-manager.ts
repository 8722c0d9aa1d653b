import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'

const RECEIVER = fileURLToPath(new URL('../../../test/support/receive-notifications.c', import.meta.url))
const COMPILER = process.env['CC'] ?? 'cc'

/** Why there is none here. */
export const noServiceManager =
  process.platform === 'linux' && spawnSync(COMPILER, ['--version']).status === 0
    ? false
    : `no C compiler for Linux (${COMPILER})`

/** What one datagram said. */
export interface Notification {
  /** Of whoever the kernel says has sent it. */
  readonly pid: number
  readonly uid: number
  readonly lines: readonly string[]
  /** When it came, as performance.now() has it. */
  readonly at: number
}

let program: string | undefined

function compileReceiver(): string {
  const compiled = join(makeTempDir('flux-notify-'), 'receive-notifications')
  execFileSync(COMPILER, ['-std=c11', '-Wall', '-Wextra', '-Werror', '-o', compiled, RECEIVER])
  return compiled
}

/** A real socket that takes notifications as systemd's does. */
export class ServiceManagerSocket {
  readonly received: Notification[] = []

  private constructor(
    /** For NOTIFY_SOCKET. */
    readonly address: string,
    readonly close: () => void,
  ) {}

  static async open(address?: string): Promise<ServiceManagerSocket> {
    const dir = makeTempDir('flux-notify-')
    program ??= compileReceiver()
    const at = address ?? join(dir, 'notify')
    const receiver = spawn(program, [at], { stdio: ['ignore', 'pipe', 'inherit'] })
    const close = () => void receiver.kill('SIGKILL')
    onExit(close)
    const lines = createInterface(receiver.stdout)
    await once(lines, 'line')
    const manager = new ServiceManagerSocket(at, close)
    lines.on('line', (line) => {
      const [pid, uid, ...rest] = line.split('\t')
      manager.received.push({ pid: Number(pid), uid: Number(uid), lines: rest, at: performance.now() })
    })
    return manager
  }

  /** Those with a line that matches, oldest first. */
  with(line: RegExp): Notification[] {
    return this.received.filter(({ lines }) => lines.some((candidate) => line.test(candidate)))
  }

  /** The first one with such a line. */
  told(line: RegExp, withinSeconds = 15): Promise<Notification> {
    const seen = () => this.received.map(({ lines }) => lines.join(' | ')).join('\n')
    return eventually(`${line} is told`, () => this.with(line)[0], withinSeconds).catch((error: Error) => {
      throw new Error(`${error.message}; told so far:\n${seen()}`)
    })
  }
}
