import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCES = fileURLToPath(new URL('../../../../native/launcher/', import.meta.url))
const HELPERS = fileURLToPath(new URL('../../../../test/native/launcher/', import.meta.url))
const OUTPUT = fileURLToPath(new URL('./built/', import.meta.url))
const COMPILER = process.env['CC'] ?? 'cc'
const SANITIZE = ['-std=c11', '-pthread', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/** Why C cannot be compiled here. */
export const noCompiler =
  process.platform === 'linux' && spawnSync(COMPILER, ['--version']).status === 0
    ? false
    : `no C compiler (${COMPILER})`

/** Of a launcher in which a sanitizer has found something. */
export const SANITIZER_STATUS = 99

/** For the launcher that `sanitizedLauncher` builds: leaks are looked for as well. */
export const SANITIZED_ENV = {
  ASAN_OPTIONS: `exitcode=${SANITIZER_STATUS}:detect_leaks=1`,
  UBSAN_OPTIONS: `exitcode=${SANITIZER_STATUS}`,
}

/** The launcher with the address and undefined behaviour sanitizers. */
export function sanitizedLauncher(): string {
  const sources = filesOf(SOURCES, '.c')
  return built('launcher', [...sources, ...filesOf(SOURCES, '.h')], (program) => {
    // A child of vfork(2) leaves its frames poisoned on the stack that it shares with the launcher.
    const child = `${program}.child.o`
    compile([...SANITIZE, ...noPoisonedStack(), '-c', '-o', child, join(SOURCES, 'child.c')])
    compile([...SANITIZE, '-o', program, child, ...sources.filter((file) => basename(file) !== 'child.c')])
    rmSync(child)
  })
}

/** A launcher that says it speaks another version of the protocol. */
export function launcherOfVersion(version: number): string {
  const sources = filesOf(SOURCES, '.c')
  return built(`version-${version}/launcher`, [...sources, ...filesOf(SOURCES, '.h')], (program) => {
    const dir = `${program}.sources`
    cpSync(SOURCES, dir, { recursive: true })
    const header = join(dir, 'protocol.h')
    const defined = /^#define PROTOCOL_VERSION .*$/m
    writeFileSync(header, readFileSync(header, 'utf8').replace(defined, `#define PROTOCOL_VERSION ${version}`))
    compile(['-std=c11', '-pthread', '-o', program, ...filesOf(dir, '.c')])
    rmSync(dir, { recursive: true })
  })
}

/** A program of this folder. */
export function helper(name: string): string {
  const source = join(HELPERS, `${name}.c`)
  return built(name, [source], (program) => {
    compile(['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source])
  })
}

/** Makes what has not been made from these sources before. Test files do this at once. */
function built(name: string, sources: string[], make: (program: string) => void): string {
  const hash = createHash('sha256')
    .update(`${COMPILER}\0`)
    .update(readFileSync(fileURLToPath(import.meta.url)))
  for (const file of sources) hash.update(readFileSync(file)).update('\0')
  // The name is what /proc shows of it.
  const program = join(OUTPUT, hash.digest('hex').slice(0, 16), name)
  if (existsSync(program)) return program
  mkdirSync(dirname(program), { recursive: true })
  const unfinished = `${program}.${process.pid}`
  make(unfinished)
  renameSync(unfinished, program)
  return program
}

function compile(args: string[]): void {
  const { status, stderr } = spawnSync(COMPILER, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${COMPILER} ${args.join(' ')}: ${stderr}`)
}

function noPoisonedStack(): string[] {
  const isClang = /clang/.test(spawnSync(COMPILER, ['--version']).stdout.toString())
  return isClang ? ['-mllvm', '-asan-stack=0'] : ['--param', 'asan-stack=0']
}

function filesOf(folder: string, suffix: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name))
}
