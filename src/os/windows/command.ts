import { win32 } from 'node:path'
import { batchCommand } from './batch.js'
import { systemProgram } from './system.js'

/** The command that runs a handler; or why there is none. */
export type Command =
  | {
      readonly kind: 'command'
      readonly file: string
      readonly args: readonly string[]
      /** Whether the arguments are already quoted. */
      readonly verbatim: boolean
    }
  | { readonly kind: 'impossible'; readonly code: string; readonly problem: string }

const POWERSHELL = 'WindowsPowerShell\\v1.0\\powershell.exe'
const POWERSHELL_FLAGS = ['-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-File']
const ENDINGS = '.exe, .cmd, .bat, .ps1, .js, .mjs or .cjs'

/** How files are run, by extension: by the system, or by a program that gets the file. */
const STARTS: Readonly<Record<string, (file: string, args: readonly string[]) => Command>> = {
  '.exe': (file, args) => command(file, args),
  '.cmd': batch,
  '.bat': batch,
  '.ps1': (file, args) => command(systemProgram(POWERSHELL), [...POWERSHELL_FLAGS, file, ...args]),
  '.js': javaScript,
  '.mjs': javaScript,
  '.cjs': javaScript,
}

/** The command for a handler, by its extension: Windows has neither modes nor `#!` lines. */
export function commandOf(file: string, args: readonly string[]): Command {
  const start = STARTS[endingOf(file)]
  return start ? start(file, args) : { kind: 'impossible', code: 'ENOEXEC', problem: `${file} ${endingProblem(file)}` }
}

/** Why a handler can never be started, to follow its name in a sentence; undefined where its extension is supported. */
export function handlerProblem(handler: string): string | undefined {
  return endingOf(handler) in STARTS ? undefined : endingProblem(handler)
}

function endingProblem(file: string): string {
  const ending = endingOf(file)
  return `${ending === '' ? 'has no ending' : `ends in ${ending}`}, which Windows cannot run; allowed: ${ENDINGS}`
}

function endingOf(file: string): string {
  return win32.extname(file).toLowerCase()
}

function command(file: string, args: readonly string[], verbatim = false): Command {
  return { kind: 'command', file, args, verbatim }
}

function batch(file: string, args: readonly string[]): Command {
  const found = batchCommand(file, args)
  return found.kind === 'command' ? command(systemProgram('cmd.exe'), found.args, true) : { ...found, code: 'EINVAL' }
}

/** Run by the agent's own Node. */
function javaScript(file: string, args: readonly string[]): Command {
  return command(process.execPath, [file, ...args])
}
