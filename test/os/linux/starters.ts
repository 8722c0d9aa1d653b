import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onExit } from '../../../harness/on-exit.js'
import { childrenOf } from '../../../src/os/linux/cgroup-files.js'
import type { StarterSetup } from '../../../src/os/platform.js'

/** Where the build puts it. */
export const LAUNCHER = fileURLToPath(new URL('../../../native/launcher', import.meta.url))

/** A way of starting processes that the cases of every starter are run on. */
export interface StarterCase {
  readonly name: string
  /** Why it cannot be tested here. */
  readonly skip: string | false
  readonly kind: StarterSetup['kind']
  /** Nothing that a process has started outlives it, wherever it has gone. */
  readonly killsEscapees: boolean
  setup(dir: string): StarterSetup
}

const isLinux = process.platform === 'linux'
const noLauncher = isLinux && existsSync(LAUNCHER) ? false : 'there is no launcher'
const cgroupMount = isLinux ? findCgroupMount() : undefined
const noCgroups = process.getuid?.() === 0 && cgroupMount ? noLauncher : 'needs root and a cgroup2 mount'

export const STARTERS: readonly StarterCase[] = [
  {
    name: 'child_process',
    skip: isLinux ? false : 'not Linux',
    kind: 'child_process',
    killsEscapees: false,
    setup: (dir) => ({ kind: 'child_process', scratchDir: join(dir, 'run') }),
  },
  {
    name: 'the launcher without cgroups',
    skip: noLauncher,
    kind: 'launcher',
    killsEscapees: true,
    setup: launcherSetup,
  },
  {
    name: 'the launcher with cgroups',
    skip: noCgroups,
    kind: 'launcher',
    killsEscapees: true,
    setup: (dir) => ({ ...launcherSetup(dir), cgroups: { dir: cgroupFolder(), controllers: [], aggregate: {} } }),
  },
]

/** The ways of starting processes that may outlive their agent. */
export const SURVIVING: readonly (Omit<StarterCase, 'setup'> & { setup(dir: string): LauncherSetup })[] =
  STARTERS.filter(({ kind }) => kind === 'launcher').map(({ setup, ...rest }) => ({
    ...rest,
    setup: (dir) => ({ ...(setup(dir) as LauncherSetup), surviveMs: 60_000 }),
  }))

export type LauncherSetup = StarterSetup & { readonly kind: 'launcher' }

function launcherSetup(dir: string): LauncherSetup {
  return {
    kind: 'launcher',
    program: LAUNCHER,
    scratchDir: join(dir, 'run'),
    noNewPrivileges: true,
    maxProcesses: 0,
    oomKill: 'execution',
    surviveMs: 0,
  }
}

let folder: string | undefined

/** One for this process, removed when it ends. */
export function cgroupFolder(): string {
  if (folder) return folder
  const dir = mkdtempSync(join(cgroupMount as string, 'flux-test-'))
  onExit(() => {
    for (const child of childrenOf(dir)) rmdirSync(join(dir, child))
    rmdirSync(dir)
  })
  folder = dir
  return dir
}

function findCgroupMount(): string | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines.find((line) => / - cgroup2 /.test(line))?.split(' ')[4]
}
