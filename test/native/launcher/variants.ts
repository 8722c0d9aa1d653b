import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { afterEach, describe } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { killCgroup, removeTree } from '../../../src/os/linux/cgroup-files.js'
import { cgroupFolder, LAUNCHER, STARTERS } from '../../os/linux/starters.js'
import { helper, noCompiler, SANITIZED_ENV, sanitizedLauncher } from './builds.js'
import { Launcher, type LaunchOptions } from './launcher-under-test.js'

export const inCi = process.env['CI'] === 'true'
export const isRoot = process.getuid?.() === 0
/** Why tests that start something as another user are skipped. */
export const needsRoot = isRoot ? false : 'needs root'
/** A user that is nobody's, and that no other test file has: some tests signal, or count, all that runs as it. */
export const NOBODY = { uid: 50_000 + (process.pid % 10_000), gid: 64_998 }

/** A launcher in one of its environments. */
export interface Variant {
  readonly name: string
  readonly skip: string | false
  readonly cgroups: boolean
  readonly sanitized: boolean
  /** The kernel may have it. */
  readonly hasClone3: boolean
  /** `prefix`: a command that runs the launcher. It is closed, and what it leaves behind looked for, after the test. */
  launch(options?: LaunchOptions, prefix?: readonly string[]): Launcher
}

const reasons = new Map(STARTERS.map(({ name, skip }) => [name, skip]))
/** Why there is no launcher without cgroups, and with them. */
export const noLauncher = reasons.get('the launcher without cgroups') ?? false
export const noCgroups = reasons.get('the launcher with cgroups') ?? false

const open = new Map<Launcher, string | undefined>()
let made = 0

// Before that of the folder above.
onExit(() => {
  for (const dir of open.values()) if (dir) removeCgroup(dir)
})

function variant(cgroups: boolean, sanitized: boolean, fallback: 'clone3' | 'pidfd' | undefined): Variant {
  const without = { clone3: ', without clone3', pidfd: ', without clone3 and pidfds' }
  const name = `${sanitized ? 'the sanitized launcher' : 'the launcher'} ${cgroups ? 'with' : 'without'} cgroups`
  return {
    name: name + (fallback ? without[fallback] : ''),
    skip: (cgroups ? noCgroups : noLauncher) || ((sanitized || fallback) && noCompiler) || false,
    cgroups,
    sanitized,
    hasClone3: !fallback,
    launch: (options = {}, prefix = []) => {
      const program = sanitized ? sanitizedLauncher() : LAUNCHER
      const filter = fallback ? [helper('without-clone3'), ...(fallback === 'pidfd' ? ['--nor-pidfd'] : [])] : []
      const dir = cgroups ? makeCgroup(options) : undefined
      const { survives, socket = survives === undefined ? undefined : newSocket() } = options
      const survival = socket === undefined ? [] : [socket, String(survives)]
      const places = [dir ?? '-', options.tmpdirs ?? '-', ...survival]
      // What is not given may be left out from the end.
      while (places.at(-1) === '-') places.pop()
      const command = [...prefix, ...filter, program, ...places] as [string, ...string[]]
      const env = { ...(sanitized && SANITIZED_ENV), ...options.env }
      const launcher = new Launcher(command, { ...options, ...(socket !== undefined && { socket }), env })
      open.set(launcher, dir)
      return launcher
    },
  }
}

const bools = [false, true]

/** With and without cgroups; in CI once more with sanitizers. */
export const VARIANTS: readonly Variant[] = (inCi ? bools : [false]).flatMap((sanitized) =>
  bools.map((cgroups) => variant(cgroups, sanitized, undefined)),
)

/** What the launcher falls back on with an older kernel. */
const FALLBACKS: readonly Variant[] = (['clone3', 'pidfd'] as const).flatMap((fallback) =>
  bools.map((cgroups) => variant(cgroups, false, fallback)),
)

/** Outside CI each of these, and each with and without cgroups, but not each with each. */
const TAKEN_FALLBACKS = inCi ? FALLBACKS : FALLBACKS.filter((_, index) => index % 3 === 0)

/** For the tests of what everything else needs. */
export const EVERY: readonly Variant[] = [...VARIANTS, ...FALLBACKS]

export const SANITIZED: readonly Variant[] = bools.map((cgroups) => variant(cgroups, true, undefined))

/** The same tests on each variant; those with `fallbacks` also on what looks like an older kernel. */
export function describeEach(
  what: string,
  tests: (variant: Variant) => void,
  { variants = VARIANTS, fallbacks = false } = {},
): void {
  for (const variant of fallbacks ? [...variants, ...TAKEN_FALLBACKS] : variants) {
    describe(`${what}: ${variant.name}`, { skip: variant.skip }, () => {
      afterEach(closeAll)
      tests(variant)
    })
  }
}

async function closeAll(): Promise<void> {
  const closing = [...open]
  const outcomes = await Promise.allSettled(closing.map(([launcher, dir]) => close(launcher, dir)))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function close(launcher: Launcher, dir: string | undefined): Promise<void> {
  try {
    await launcher.close()
    if (dir && launcher.exit?.signal === null && !launcher.options.leavesCgroups) assert.deepEqual(cgroupsIn(dir), [])
  } finally {
    if (dir) await eventually('its cgroup can be removed', () => removeCgroup(dir))
    open.delete(launcher)
  }
}

/** Those of a launcher's executions. */
export function cgroupsOf(launcher: Launcher): string[] {
  const dir = open.get(launcher)
  return dir ? cgroupsIn(dir) : []
}

export function cgroupOf(launcher: Launcher): string {
  return open.get(launcher) as string
}

function makeCgroup({ survives }: LaunchOptions): string {
  // One that leaves by itself also removes the two folders above.
  const above = survives === undefined ? [] : [`above-${made}`, 'executions']
  const dir = join(cgroupFolder(), ...above, `launcher-${made++}`)
  mkdirSync(dir, { recursive: true })
  return dir
}

function newSocket(): string {
  return join(makeTempDir('flux-launcher-'), 'launcher.sock')
}

function cgroupsIn(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
}

function removeCgroup(dir: string): boolean {
  if (existsSync(dir)) killCgroup(dir)
  const [above] = relative(cgroupFolder(), dir).split(sep)
  return removeTree(join(cgroupFolder(), above as string))
}
