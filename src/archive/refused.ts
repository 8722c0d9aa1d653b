import { getSystemErrorMap } from 'node:util'

/** Stable: tests and callers tell refusals apart by these, people by the message. */
export type RefusalCode =
  /** No zip archive, or one cut off before its directory. */
  | 'ARCHIVE_NOT_ZIP'
  /** Its records contradict each other, so that two readers would see two different archives. */
  | 'ARCHIVE_AMBIGUOUS'
  | 'ARCHIVE_TOO_MANY_ENTRIES'
  | 'ARCHIVE_TOO_LARGE'
  | 'ARCHIVE_RATIO_TOO_HIGH'
  | 'ARCHIVE_HANDLER_INVALID'
  | 'ARCHIVE_HANDLER_MISSING'
  | 'ARCHIVE_ENTRY_NAME'
  /** A path or a symbolic link that leaves the function's folder. */
  | 'ARCHIVE_ENTRY_ESCAPES'
  | 'ARCHIVE_ENTRY_DUPLICATE'
  /** Neither a file, a folder nor a symbolic link. */
  | 'ARCHIVE_ENTRY_TYPE'
  | 'ARCHIVE_ENTRY_LINK'
  | 'ARCHIVE_ENTRY_ENCRYPTED'
  | 'ARCHIVE_ENTRY_METHOD'
  | 'ARCHIVE_ENTRY_OVERLAPS'
  /** Its bytes do not unpack to what the directory declares. */
  | 'ARCHIVE_ENTRY_DAMAGED'
  | 'FUNCTION_NAME_INVALID'
  /** The operating system refused: disk full, no permission… The cause has the errno. */
  | 'SYSTEM_ERROR'

/** An archive that is not deployed. The message is for the person who made it: it names the entry and what is allowed. */
export class ArchiveRefused extends Error {
  override readonly name = 'ArchiveRefused'
  readonly code: RefusalCode
  /** The entry's name as the archive spells it, where one is at fault. */
  readonly entry: string | undefined

  constructor(code: RefusalCode, message: string, entry?: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.entry = entry
  }
}

/** `problem` continues a sentence that begins with the entry: "has no name". */
export function refuseEntry(code: RefusalCode, entry: string, problem: string, options?: ErrorOptions): ArchiveRefused {
  return new ArchiveRefused(code, `entry ${quote(entry)} ${problem}`, entry, options)
}

/** A name in a message: control characters escaped, and cut so that a name of 64 KiB does not become one. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)
}

/** A failed system call as a refusal that says what could not be done, as in `cannot unpack "x"`; any other error as it is. */
export function refuseSystemError(what: string, error: unknown, entry?: string): unknown {
  const reason = systemErrorText(error)
  if (reason === undefined) return error
  return new ArchiveRefused('SYSTEM_ERROR', `${what}: ${reason}`, entry, { cause: error })
}

function systemErrorText(error: unknown): string | undefined {
  if (!(error instanceof Error && 'syscall' in error && 'errno' in error)) return undefined
  return getSystemErrorMap().get(Number(error.errno))?.[1] ?? error.message
}
