import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'

/** Why there is no Wine here; undefined where there is. In CI that fails. */
export const noWine: string | undefined = findProblem()

/** The tree stays as it is: what is written goes into $2, and the mounts are gone with the namespace. */
const ENTER = `set -e
mount -t tmpfs tmpfs "$2/over"
mkdir "$2/over/upper" "$2/over/work" "$2/over/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/over/upper,workdir=$2/over/work" "$2/over/root"
cd "$2/over/root"
mkdir -p work
mount --bind "$2/shared" work
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
exec chroot . sleep infinity
`

const VARIABLES = {
  PATH: '/usr/bin:/bin',
  HOME: '/root',
  WINEPREFIX: '/prefix',
  WINEDEBUG: '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=;winedbg.exe=d',
  XDG_RUNTIME_DIR: '/run',
}

/** A program that runs in Windows. */
export interface WindowsProgram {
  readonly process: ChildProcess
  /** What it has printed. */
  output(): string
  readonly exited: Promise<number | null>
}

/** A Windows of its own, by Wine, with the host's network. All of it is gone at the latest when this process is. */
export class Windows {
  /** The same folder: here, and there. */
  readonly shared: string
  readonly sharedThere = 'Z:\\work'
  private count = 0

  private constructor(
    private readonly dir: string,
    private readonly holder: ChildProcess,
    private readonly pid: number,
  ) {
    this.shared = join(dir, 'shared')
  }

  static async start(): Promise<Windows> {
    const dir = makeTempDir('flux-wine-')
    spawnSync('mkdir', [join(dir, 'shared'), join(dir, 'over')])
    const [tree] = treeOf()
    const flags = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', ENTER, 'sh', tree, dir]
    const holder = spawn('unshare', flags, { stdio: ['ignore', 'ignore', 'inherit'] })
    onExit(() => holder.kill('SIGKILL'))
    holder.unref()
    const pid = await eventually('the namespace of Wine', () => {
      const child = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim()
      return child !== '' && readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith('sleep')
        ? Number(child)
        : undefined
    })
    return new Windows(dir, holder, pid)
  }

  /** Runs a program. Its streams are files, since a pipe of Linux is none to Windows. */
  run(file: string, args: readonly string[]): WindowsProgram {
    const log = join(this.dir, `output-${this.count++}`)
    const fd = openSync(log, 'w')
    const enter = ['--target', String(this.pid), '--mount', '--pid', '--root', '--wd=/work']
    const variables = Object.entries(VARIABLES).map(([name, value]) => `${name}=${value}`)
    const child = spawn('nsenter', [...enter, 'env', '-i', ...variables, 'wine', file, ...args], {
      stdio: ['ignore', fd, fd],
    })
    closeSync(fd)
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
    return { process: child, output: () => readFileSync(log, 'utf8'), exited }
  }

  /** Ends all that runs in it. */
  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.holder.once('exit', resolve))
    this.holder.kill('SIGKILL')
    await gone
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

function findProblem(): string | undefined {
  const [, problem] = treeOf()
  if (problem && process.env['CI'] === 'true') throw new Error(problem)
  return problem
}

function treeOf(): [tree: string, problem?: string] {
  const made = spawnSync(process.execPath, ['scripts/wine.mjs'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return made.status === 0 ? [made.stdout.trim().split('\n').at(-1) ?? ''] : ['', 'there is no Wine']
}
