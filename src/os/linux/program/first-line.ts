import { basename, dirname, resolve } from 'node:path'
import { executable, kindOf, readHead } from './probe.js'

const HEAD_BYTES = 4096
/** Characters that env(1) treats specially, in ways not modelled here. */
const BEYOND = /["'\\$#]/

/**
 * Why a script's first line will surely fail although the kernel starts it: its interpreter gets a carriage return, or
 * is env(1) and does not find the program on PATH. Undefined where nothing shows. May block on functions' file systems:
 * call it through `within`.
 */
export async function firstLineProblem(file: string, path: string): Promise<string | undefined> {
  const head = await readHead(file, HEAD_BYTES)
  const [, interpreter, rest = ''] = head?.toString('utf8').match(/^#![ \t]*([^ \t\n]+)([^\n]*)/) ?? []
  if (interpreter === undefined) return undefined
  if (rest.endsWith('\r')) {
    return `${file} has a first line that ends in a carriage return, as on Windows, which ${interpreter} takes for a part of its argument: save it with line ends of Unix`
  }
  return basename(interpreter) === 'env' ? envProblem(file, rest.trim(), path) : undefined
}

async function envProblem(file: string, argument: string, path: string): Promise<string | undefined> {
  const [, toSplit] = /^(?:-S|--split-string=)\s*(.*)$/.exec(argument) ?? []
  if (BEYOND.test(argument) || (toSplit ?? argument).startsWith('-')) return undefined
  if (toSplit === undefined && /\s/.test(argument)) {
    return `${file} has env look for one program named ${JSON.stringify(argument)}: write #!/usr/bin/env -S ${argument}`
  }
  const program = (toSplit ?? argument).split(/\s+/).find((word) => !word.includes('='))
  if (!program || (await isFound(program, dirname(file), path))) return undefined
  const where = program.includes('/')
    ? 'does not exist'
    : `is not in ${path}, nor elsewhere unless env sets another PATH`
  return `program ${program} of ${file} ${where}`
}

async function isFound(program: string, cwd: string, path: string): Promise<boolean> {
  if (program.includes('/')) return (await kindOf(resolve(cwd, program))) !== undefined
  for (const dir of path.split(':')) {
    const candidate = resolve(dir, program)
    if ((await kindOf(candidate)) === 'file' && (await executable(candidate))) return true
  }
  return false
}
