import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { makeTempDir } from '../../../harness/agent.js'
import { onExit } from '../../../harness/on-exit.js'
import { installation } from '../../../src/installation.js'

const isRoot = process.getuid?.() === 0
/** Why tests of it are skipped. */
export const noSandbox = process.platform !== 'linux' ? 'for Linux' : isRoot ? false : 'needs root'
/** The function's user and group. */
export const UID = 2_100_000_000 + (process.pid % 65_536)
/** Another function's. */
export const OTHER = UID - 1

export interface SandboxOptions {
  /** Arguments in place of those that are made of the folders. */
  readonly args?: Readonly<Record<string, string>>
  /** A command that executes it in its own place. */
  readonly through?: readonly string[]
}

/** The folders of an agent that has one function, `mine`, and another, `other`. */
export class Folders {
  /** Where the runner's home is, in which the function's own appears. */
  readonly homeAt: string
  readonly home: string

  /** By default `apps` is in the runner's home, as it is with agents. */
  constructor(
    readonly dir = makeTempDir('flux-sandbox-'),
    readonly apps = join(dir, 'runner/apps'),
    readonly state = join(dir, 'state'),
  ) {
    this.homeAt = join(dir, 'runner')
    this.home = join(state, 'functions/homes/mine')
    for (const path of [dir, this.homeAt]) makeFolder(path, 0o711)
    for (const name of ['mine', 'other']) makeFolder(join(apps, name), 0o755)
    makeFolder(join(state, 'functions/tmp'), 0o711)
    for (const [name, uid] of Object.entries({ mine: UID, other: OTHER })) {
      for (const kind of ['homes', 'caches']) {
        const path = join(state, 'functions', kind, name)
        makeFolder(path, 0o700)
        chownSync(path, uid, uid)
      }
    }
  }

  arguments(args: Readonly<Record<string, string>> = {}): string[] {
    const { homeAt: home_at, home, apps, state } = this
    const all = { uid: String(UID), user: 'flux-runner', home, home_at, apps, name: 'mine', state }
    return Object.entries({ ...all, tmp_bytes: '10485760', network: 'host', ...args }).map((one) => one.join('='))
  }
}

export function makeFolder(path: string, mode: number): void {
  mkdirSync(path, { recursive: true })
  chmodSync(path, mode)
}

/** A sandbox that is held open. */
export class Sandbox {
  private constructor(private readonly holder: ChildProcess) {}

  static async open(folders = new Folders(), options: SandboxOptions = {}): Promise<Sandbox> {
    const holder = start(folders.arguments(options.args), options.through)
    onExit(() => holder.kill('SIGKILL'))
    holder.unref()
    ;(holder.stdin as Socket).unref()
    let said = ''
    for await (const part of holder.stdout.setEncoding('utf8')) {
      said += part
      if (said.endsWith('\n')) break
    }
    if (said !== 'ready\n') throw new Error(`the sandbox is not ready: ${said}`)
    return new Sandbox(holder)
  }

  get pid(): number {
    return this.holder.pid as number
  }

  /** Runs a shell's lines in it as the function, or another user; answers what they print. */
  run(lines: string, uid = UID): string {
    const { stdout, stderr } = this.try(lines, uid)
    if (stderr !== '') throw new Error(`${lines}: ${stderr}`)
    return stdout
  }

  /** The same, with whatever they complain about. */
  try(lines: string, uid = UID): { status: number | null; stdout: string; stderr: string } {
    const enter = ['-t', String(this.pid), '-m', '-i', '-n', '-S', String(uid), '-G', String(uid)]
    // An environment as sparse as that of a function.
    const env = { PATH: process.env['PATH'], LC_ALL: 'C' }
    return spawnSync('nsenter', [...enter, '--', 'sh', '-c', lines], { encoding: 'utf8', cwd: '/', env })
  }

  /** Ends its input; answers the exit code. */
  async close(): Promise<number | null> {
    this.holder.ref()
    this.holder.stdin?.end()
    const [code] = this.holder.exitCode === null ? await once(this.holder, 'exit') : [this.holder.exitCode]
    return code
  }
}

/** What it says where it cannot make one, with the exit code. */
export async function failure(args: readonly string[], through: readonly string[] = []): Promise<[string, number]> {
  const holder = start(args, through)
  holder.stdin.end()
  const [said, [code]] = await Promise.all([text(holder.stdout), once(holder, 'close')])
  return [said, code]
}

function start(args: readonly string[], through: readonly string[] = []) {
  const [program, ...rest] = [...through, installation.sandbox, ...args] as [string, ...string[]]
  return spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] }, cwd: '/' })
}
