// Builds the agent's programs in C.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { inCi } from './machine.mjs'
import { fail, run } from './run.mjs'
import { files, hashOf, readStamp } from './stamps.mjs'

/** The C programs by folder; paths are relative to the folder they are built into. */
const PROGRAMS = [
  { path: 'native/launcher', folder: 'native/launcher' },
  { path: 'native/notifier', folder: 'native/notifier' },
  { path: 'native/sandbox', folder: 'native/sandbox' },
].map(({ path, folder }) => ({ path, sources: filesIn(folder, '.c'), headers: filesIn(folder, '.h') }))

/** The results of `compileNative('dist')`. */
export const NATIVE_OUTPUTS = PROGRAMS.flatMap(({ path }) => [path, stampOf(path)])

/**
 * Compiles them for Linux into a folder, by CC or `cc`. Without a compiler the agent starts functions by child_process.
 */
export function compileNative(folder, compiler = process.env.CC ?? 'cc') {
  const due = PROGRAMS.filter((program) => !isCurrent(folder, compiler, program))
  if (due.length === 0) return
  if (spawnSync(compiler, ['--version']).error) {
    if (inCi) fail(`there is no C compiler (${compiler})`)
    console.log(`no C compiler (${compiler}): functions will be started by child_process, and systemd is not notified`)
    return
  }
  for (const program of due) compileProgram(folder, compiler, program)
}

function compileProgram(folder, compiler, program) {
  const { path, sources } = program
  const output = join(folder, path)
  console.log(`compiling ${output}`)
  mkdirSync(dirname(output), { recursive: true })
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', output, ...sources]
  // Static, so that one binary runs on every node; not every system has a static C library.
  if (spawnSync(compiler, ['-static', ...flags]).status !== 0) run(compiler, flags)
  writeFileSync(join(folder, stampOf(path)), stateOf(compiler, program))
}

function isCurrent(folder, compiler, program) {
  const { path } = program
  return readStamp(join(folder, stampOf(path))) === stateOf(compiler, program) && existsSync(join(folder, path))
}

function stateOf(compiler, { sources, headers }) {
  return `${compiler} ${hashOf([...sources, ...headers])}`
}

function filesIn(folder, suffix) {
  return files(folder, suffix).filter((file) => dirname(file) === folder)
}

function stampOf(path) {
  return `.${basename(path)}-stamp`
}
