/** Longer command lines are cut by cmd.exe. */
const MAX_COMMAND_LINE = 8191

/** What cmd.exe takes as it stands. */
const PLAIN = /^[\w.:\\/+#$*@?-]*[\w.:/+#$*@?-]$/

/** The arguments of cmd.exe that run a batch file, to be passed verbatim; or why the file cannot be given these. */
export type BatchCommand =
  | { readonly kind: 'command'; readonly args: readonly string[] }
  | { readonly kind: 'impossible'; readonly problem: string }

/**
 * A batch file with arguments, none of which cmd.exe takes for anything but text: not `&` or `|` for another command,
 * not `%NAME%` for a variable. A double quote reaches what the batch file passes `%*` to as itself, and the batch file
 * as two, since cmd.exe has no other way to write one.
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
  // Whatever the registry says: no AutoRun, no delayed expansion, which gives ! a meaning, and the extensions that
  // `quote` needs.
  return { kind: 'command', args: ['/d', '/e:ON', '/v:OFF', '/s', '/c', line] }
}

function quote(arg: string): string {
  if (PLAIN.test(arg)) return arg
  const text = arg
    // For the C library of the program that the batch file may pass it on to.
    .replace(/(\\*)("|$)/g, '$1$1$2')
    .replaceAll('"', '""')
    // The variable of that name, from no character on: nothing, so that the first % is left without a partner.
    .replaceAll('%', '%%cd:~,%')
  return `"${text}"`
}
