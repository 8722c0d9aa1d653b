/** cmd.exe truncates longer command lines. */
const MAX_COMMAND_LINE = 8191

/** Characters that need no quotes in cmd.exe. */
const PLAIN = /^[\w.:\\/+#$*@?-]*[\w.:/+#$*@?-]$/

/** The arguments with which cmd.exe runs a batch file, to be passed verbatim; or why that is impossible. */
export type BatchCommand =
  | { readonly kind: 'command'; readonly args: readonly string[] }
  | { readonly kind: 'impossible'; readonly problem: string }

/**
 * Runs a batch file with arguments that cmd.exe takes as text only: `&` and `|` start no command, `%NAME%` expands no
 * variable. A double quote arrives doubled in the batch file, as cmd.exe has no other escape, and single in programs
 * that it passes `%*` to.
 */
export function batchCommand(file: string, args: readonly string[]): BatchCommand {
  if (args.some((arg) => /[\r\n]/.test(arg))) {
    return { kind: 'impossible', problem: 'an argument of a batch file cannot hold a line break' }
  }
  const line = `"${[file, ...args].map(quote).join(' ')}"`
  if (line.length > MAX_COMMAND_LINE) {
    const problem = `the command line of a batch file is ${line.length} characters long; at most ${MAX_COMMAND_LINE} are allowed`
    return { kind: 'impossible', problem }
  }
  // Independent of the registry: no AutoRun, no delayed expansion (which gives ! a meaning), and the extensions that
  // `quote` needs.
  return { kind: 'command', args: ['/d', '/e:ON', '/v:OFF', '/s', '/c', line] }
}

function quote(arg: string): string {
  if (PLAIN.test(arg)) return arg
  const text = arg
    // Escapes for the C library of a program that gets the argument.
    .replace(/(\\*)("|$)/g, '$1$1$2')
    .replaceAll('"', '""')
    // A substring of an unset variable: expands to nothing and leaves the first % unpaired.
    .replaceAll('%', '%%cd:~,%')
  return `"${text}"`
}
