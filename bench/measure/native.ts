import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCES = fileURLToPath(new URL('../../../bench/native/', import.meta.url))
const PROGRAMS = fileURLToPath(new URL('../native/', import.meta.url))
const FLAGS = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror']

/** Libraries to link, and their Debian packages. */
export interface Libraries {
  readonly flags: readonly string[]
  readonly packages: readonly string[]
}

/**
 * Compiles NAME.c, or all files of the folder NAME, unless done before, so that a machine without a compiler can use
 * another one's build. Answers the program's path.
 */
export function nativeProgram(name: string, libraries: Libraries = { flags: [], packages: [] }): string {
  const program = join(PROGRAMS, name)
  if (modified(program) > newestSource()) return program
  mkdirSync(PROGRAMS, { recursive: true })
  try {
    const compiler = process.env['CC'] ?? 'cc'
    execFileSync(compiler, [...FLAGS, '-o', program, ...sourcesOf(name), ...libraries.flags], { stdio: 'inherit' })
  } catch (error) {
    const needed = ['gcc', 'libc6-dev', ...libraries.packages].join(' ')
    throw new Error(`bench/native/${name} is not compiled; on Debian it needs: apt-get install ${needed}`, {
      cause: error,
    })
  }
  return program
}

function sourcesOf(name: string): string[] {
  const folder = join(SOURCES, name)
  const files = readdirSync(SOURCES).includes(name)
    ? readdirSync(folder).map((file) => join(folder, file))
    : [`${folder}.c`]
  return files.filter((file) => file.endsWith('.c'))
}

/** Headers of all programs. */
function newestSource(): number {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[ch]$/.test(file))
  return Math.max(...files.map((file) => modified(join(SOURCES, file))))
}

function modified(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
