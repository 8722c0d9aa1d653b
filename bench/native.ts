import { execFileSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const SOURCES = new URL('../../bench/', import.meta.url)
const PROGRAMS = new URL('./native/', import.meta.url)

/** Compiles NAME.c unless that has been done, so that a machine without a compiler can use what another one has built. */
export function nativeProgram(name: string): string {
  const source = fileURLToPath(new URL(`${name}.c`, SOURCES))
  const program = fileURLToPath(new URL(name, PROGRAMS))
  if (modified(program) < modified(source)) {
    mkdirSync(PROGRAMS, { recursive: true })
    const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror']
    execFileSync(process.env['CC'] ?? 'cc', [...flags, '-o', program, source], { stdio: 'inherit' })
  }
  return program
}

function modified(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
