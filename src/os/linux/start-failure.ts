import { readdir } from 'node:fs/promises'
import type { StartFailure, StartRequest } from '../platform.js'
import type { StartStep } from './launcher-events.js'
import { executable, kindOf, readHead, within } from './probe.js'

/** Longer first lines are cut by the kernel as well (BINPRM_BUF_SIZE). */
const HEAD_BYTES = 256
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
/** Where an ELF header says for which machine the program is. */
const MACHINE_AT = 18
/** Machines whose kernel may run the programs of another as well: x86-64 and i386, AArch64 and ARM. */
const ALSO_RUNS: Readonly<Record<number, number>> = { 62: 3, 183: 40 }
const BINFMT = '/proc/sys/fs/binfmt_misc'

/** Files whose head has been found right; deployed versions never change. */
const checked = new Set<string>()
const CHECKED_MAX = 10_000

/**
 * Finds what the kernel would refuse with ENOEXEC: libuv starts programs by execvp(3), which hands such a file to
 * /bin/sh instead. A file that cannot be read is left to the start itself to complain about.
 */
export async function formatFailure(file: string): Promise<StartFailure | undefined> {
  if (checked.has(file)) return undefined
  const head = await within(() => readHead(file, HEAD_BYTES))
  if (head === undefined) return undefined
  const problem = await formatProblem(file, head)
  if (problem) return startFailure('ENOEXEC', `${problem} (ENOEXEC)`)
  if (checked.size >= CHECKED_MAX) checked.clear()
  checked.add(file)
  return undefined
}

export function startFailure(code: string, error: string): StartFailure {
  return { kind: 'not started', code, error }
}

/** What the system has said to a start. */
export interface SystemFailure {
  /** The errno's name. */
  readonly code: string
  /** What was being done, where that is known. */
  readonly step?: StartStep
  readonly message: string
}

/** What a person needs to know of a failed start: which file, and what is wrong with it. */
export async function explainFailure(failure: SystemFailure, request: StartRequest): Promise<StartFailure> {
  const { code, message } = failure
  const text = (await within(() => reason(failure, request))) ?? `cannot start ${request.file}: ${message}`
  return startFailure(code, `${text} (${code})`)
}

async function reason({ code, step }: SystemFailure, request: StartRequest): Promise<string | undefined> {
  const { file, cwd, args, env } = request
  if (step === 'chdir' && code !== 'ENOENT') return `working directory ${cwd} may not be entered by the user it runs as`
  if (step !== undefined && step !== 'chdir' && step !== 'exec') return undefined
  switch (code) {
    case 'ENOENT': {
      if (!(await kindOf(file))) return `${file} does not exist`
      if (!(await kindOf(cwd))) return `working directory ${cwd} does not exist`
      const interpreter = await interpreterOf(file)
      if (interpreter?.endsWith('\r')) {
        const quoted = JSON.stringify(interpreter)
        return `interpreter ${quoted} of ${file} does not exist: the first line ends in a carriage return, as on Windows`
      }
      return interpreter
        ? `interpreter ${interpreter} of ${file} does not exist`
        : `${file} needs a dynamic loader that does not exist`
    }
    case 'EACCES': {
      const kind = await kindOf(file)
      if (kind !== undefined && kind !== 'file') return `${file} is a ${kind}, not a program`
      const interpreter = await interpreterOf(file)
      return interpreter && !(await executable(interpreter))
        ? `interpreter ${interpreter} of ${file} may not be executed`
        : `${file} may not be executed by the user it runs as`
    }
    case 'E2BIG': {
      const bytes = [...args, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
        .map((text) => Buffer.byteLength(text) + 1)
        .reduce((sum, length) => sum + length, 0)
      return `arguments and environment are too long: ${bytes} bytes`
    }
    case 'ENOEXEC':
      return (
        (await formatProblem(file, await readHead(file, HEAD_BYTES))) ?? `${file} is a native program that is damaged`
      )
    default:
      return undefined
  }
}

/** Why the kernel does not run such a file, as far as its beginning tells. */
async function formatProblem(file: string, head: Buffer | undefined): Promise<string | undefined> {
  if (!head?.subarray(0, 4).equals(ELF)) {
    return head?.toString('latin1', 0, 2) === '#!'
      ? undefined
      : `${file} is neither a native program nor a script that begins with #!`
  }
  return (await isForeign(head)) ? `${file} is a native program for another kind of machine` : undefined
}

async function interpreterOf(file: string): Promise<string | undefined> {
  const head = (await readHead(file, HEAD_BYTES))?.toString('utf8')
  return head?.match(/^#![ \t]*([^ \t\n]+)/)?.[1]
}

async function isForeign(head: Buffer): Promise<boolean> {
  const own = await readHead(process.execPath, HEAD_BYTES)
  if (!own || head.length < MACHINE_AT + 2) return false
  const [machine, ownMachine] = [head.readUInt16LE(MACHINE_AT), own.readUInt16LE(MACHINE_AT)]
  if (machine === ownMachine || machine === ALSO_RUNS[ownMachine]) return false
  // An emulator may be registered that runs it.
  const handlers = await readdir(BINFMT).catch(() => [])
  return handlers.every((name) => name === 'register' || name === 'status')
}
