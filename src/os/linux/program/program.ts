import { readdir } from 'node:fs/promises'
import { basename, isAbsolute, resolve } from 'node:path'
import { crashReason, isElf, type Loader, loaderOf, machineName, machineOf } from './elf.js'
import { foreignFormat } from './formats.js'
import { noexecMount } from './mounts.js'
import { executable, kindOf, readHead, sizeOf } from './probe.js'

/** The length of a first line that the kernel reads (BINPRM_BUF_SIZE, execve(2)). */
const LINE_BYTES = 255
const HEAD_BYTES = 4096
/** Levels of scripts as interpreters of scripts (execve(2)). */
const DEEPEST_SCRIPT = 4
/** Machines whose kernels also run programs of another: x86-64 those of i386, AArch64 those of ARM. */
const ALSO_RUNS: Readonly<Record<number, number>> = { 62: 3, 183: 40 }
const BINFMT = '/proc/sys/fs/binfmt_misc'

/** Why a start fails, with the kernel's errno. */
export interface ProgramProblem {
  readonly code: 'ENOENT' | 'EACCES' | 'ENOEXEC' | 'ELOOP'
  readonly text: string
}

/** What is wrong with a file; `says` follows its name. */
interface Flaw {
  readonly code: ProgramProblem['code']
  readonly says: string
}

/**
 * Why the kernel does not start this file in that working directory, as far as the file, its interpreters and its
 * loader show; undefined where nothing is wrong. May block on functions' file systems: call it through `within`.
 */
export async function programProblem(file: string, cwd: string): Promise<ProgramProblem | undefined> {
  let subject = file
  let path = file
  const scripts = [file]
  for (;;) {
    const head = await readHead(path, HEAD_BYTES)
    const flaw = (await fileFlaw(path, scripts.length > 1)) ?? (head && (await formatFlaw(head, path)))
    if (flaw) return { code: flaw.code, text: `${subject} ${flaw.says}` }
    const interpreter = head && interpreterOf(head)
    if (!interpreter) return undefined
    subject = `interpreter ${interpreter} of ${path}`
    const missing = await interpreterFlaw(interpreter, cwd)
    if (missing) return { code: 'ENOENT', text: `${subject.replace(interpreter, missing.name)} ${missing.says}` }
    path = resolve(cwd, interpreter)
    if (scripts.includes(path)) return { code: 'ELOOP', text: `${subject} is a script that it interprets itself` }
    if (scripts.push(path) > DEEPEST_SCRIPT + 1) {
      return { code: 'ELOOP', text: `${file} has too many interpreters that are scripts: ${scripts.join(', ')}` }
    }
  }
}

/**
 * Why a native program will surely crash although the kernel starts it: it is incomplete, or a library. Undefined where
 * nothing shows. Call it through `within`.
 */
export async function nativeProblem(file: string): Promise<string | undefined> {
  const head = await readHead(file, HEAD_BYTES)
  const reason = head && isElf(head) ? crashReason(basename(file), head, await sizeOf(file)) : undefined
  return reason && `${file} ${reason}`
}

async function fileFlaw(path: string, interprets: boolean): Promise<Flaw | undefined> {
  const kind = await kindOf(path)
  if (kind === undefined) return { code: 'ENOENT', says: 'does not exist' }
  const barred = interprets ? 'may not be executed' : 'may not be executed by the user it runs as'
  if (kind !== 'file') return { code: 'EACCES', says: interprets ? barred : `is a ${kind}, not a program` }
  const mount = await noexecMount(path)
  if (mount !== undefined) {
    return { code: 'EACCES', says: `lies below ${mount}, which is mounted noexec: mount it without, or move apps_dir` }
  }
  return (await executable(path)) ? undefined : { code: 'EACCES', says: barred }
}

async function interpreterFlaw(
  interpreter: string,
  cwd: string,
): Promise<{ readonly name: string; readonly says: string } | undefined> {
  if ((await kindOf(resolve(cwd, interpreter))) !== undefined) return undefined
  if (interpreter.includes('\r')) {
    const [name = ''] = /^[^\r]*\r/.exec(interpreter) ?? []
    const says =
      name === interpreter
        ? 'the first line ends in a carriage return, as on Windows'
        : 'lines end in a carriage return alone, as on old Macs; save it with line ends of Unix'
    return { name: JSON.stringify(name), says: `does not exist: ${says}` }
  }
  if (isAbsolute(interpreter)) return { name: interpreter, says: 'does not exist' }
  const by = interpreter.includes('/') ? 'give its absolute path' : `write #!/usr/bin/env ${interpreter}`
  return { name: interpreter, says: `does not exist: it is looked for in ${cwd}, not on PATH; ${by}` }
}

/** Why the kernel cannot run a file of this format, or its loader is missing. */
async function formatFlaw(head: Buffer, path: string): Promise<Flaw | undefined> {
  const not = (says: string): Flaw => ({ code: 'ENOEXEC', says })
  if (head.length === 0) return not('is empty')
  if (head.toString('latin1', 0, 2) === '#!') return scriptFlaw(head)
  if (isElf(head)) {
    const machine = machineOf(head)
    if (machine !== undefined && (await isForeign(machine))) {
      return not(`is a native program for another kind of machine: ${machineName(machine)}`)
    }
    const loader = loaderOf(head, await sizeOf(path))
    if (loader.kind === 'none' || loader.kind === 'unknown') return undefined
    if (loader.kind === 'not a program') return not(loader.says)
    return (await kindOf(loader.path)) === undefined ? loaderFlaw(loader) : undefined
  }
  const format = foreignFormat(head)
  if (format?.kind === 'text') return not(`is neither a native program nor a script that begins with #!: ${format.fix}`)
  if (await isEmulating()) return undefined
  return not(format ? `is ${format.name}, which Linux does not run: ${format.fix}` : UNKNOWN_FORMAT)
}

const UNKNOWN_FORMAT = 'is neither a native program nor a script that begins with #!'

function loaderFlaw({ path }: Loader & { readonly kind: 'loader' }): Flaw {
  const musl = basename(path).startsWith('ld-musl')
  const from = musl ? 'it was built for a system with musl, as Alpine' : 'it was built for another system'
  return {
    code: 'ENOENT',
    says: `needs the loader ${path}, which does not exist: ${from}; build it for this one, or static`,
  }
}

function scriptFlaw(head: Buffer): Flaw | undefined {
  const interpreter = interpreterOf(head)
  if (interpreter === undefined) return { code: 'ENOEXEC', says: 'names no interpreter behind #!, as in #!/bin/sh' }
  const end = head.indexOf(interpreter) + Buffer.byteLength(interpreter)
  return end >= LINE_BYTES ? { code: 'ENOEXEC', says: `has a first line of more than ${LINE_BYTES} bytes` } : undefined
}

function interpreterOf(head: Buffer): string | undefined {
  return head.toString('utf8', 0, LINE_BYTES).match(/^#![ \t]*([^ \t\n\0]+)/)?.[1]
}

async function isForeign(machine: number): Promise<boolean> {
  const own = await readHead(process.execPath, HEAD_BYTES)
  const ownMachine = own && machineOf(own)
  if (ownMachine === undefined || machine === ownMachine || machine === ALSO_RUNS[ownMachine]) return false
  return !(await isEmulating())
}

/** Whether emulators may be registered for foreign formats. */
async function isEmulating(): Promise<boolean> {
  const handlers = await readdir(BINFMT).catch(() => [])
  return handlers.some((name) => name !== 'register' && name !== 'status')
}
