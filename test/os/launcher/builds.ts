import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCES = fileURLToPath(new URL('../../../../src/os/linux/', import.meta.url))
const HELPERS = fileURLToPath(new URL('../../../../test/os/launcher/', import.meta.url))
const OUTPUT = fileURLToPath(new URL('./built/', import.meta.url))
const COMPILER = process.env['CC'] ?? 'cc'
const SANITIZE = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/** Why C cannot be compiled here. */
export const noCompiler =
  process.platform === 'linux' && spawnSync(COMPILER, ['--version']).status === 0
    ? false
    : `no C compiler (${COMPILER})`

/** Of a launcher in which a sanitizer has found something. */
export const SANITIZER_STATUS = 99

/** For the launcher that `sanitizedLauncher` builds: leaks are looked for as well. */
export const SANITIZED_ENV = { ASAN_OPTIONS: `exitcode=${SANITIZER_STATUS}:detect_leaks=1` }

/** The launcher with the address and undefined behaviour sanitizers. */
export function sanitizedLauncher(): string {
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'))
  const headers = readdirSync(SOURCES).filter((name) => name.endsWith('.h'))
  const flags = ['-std=c11', ...SANITIZE, '-pthread']
  return compile('launcher', flags, inFolder(SOURCES, sources), inFolder(SOURCES, headers))
}

/** A program of this folder. */
export function helper(name: string): string {
  return compile(name, ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror'], [join(HELPERS, `${name}.c`)])
}

/** Compiles what has not been compiled before. Test files do this at once. */
function compile(name: string, flags: string[], sources: string[], others: string[] = []): string {
  const hash = createHash('sha256').update(JSON.stringify([COMPILER, flags]))
  for (const file of [...sources, ...others]) hash.update(readFileSync(file)).update('\0')
  // The name is what /proc shows of it.
  const program = join(OUTPUT, hash.digest('hex').slice(0, 16), name)
  if (existsSync(program)) return program
  mkdirSync(dirname(program), { recursive: true })
  const unfinished = `${program}.${process.pid}`
  const { status, stderr } = spawnSync(COMPILER, [...flags, '-o', unfinished, ...sources], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${COMPILER} cannot compile ${name}: ${stderr}`)
  renameSync(unfinished, program)
  return program
}

function inFolder(folder: string, names: string[]): string[] {
  return names.map((name) => join(folder, name))
}
