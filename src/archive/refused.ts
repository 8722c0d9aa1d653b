import { getSystemErrorMap } from 'node:util'

/** An archive that is not deployed. The message is for its maker: what is wrong, with which entry, and what is allowed. */
export class ArchiveRefused extends Error {
  override readonly name = 'ArchiveRefused'
}

/** `problem` continues a sentence that begins with the entry: "has no name". */
export function refuseEntry(entry: string, problem: string, options?: ErrorOptions): ArchiveRefused {
  return new ArchiveRefused(`entry ${quote(entry)} ${problem}`, options)
}

/** A name for a message: control characters escaped, at most 200 characters. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)
}

/**
 * Turns a failed system call into a refusal that says what failed, as in `cannot unpack "x"`. Other errors come back
 * unchanged.
 */
export function refuseSystemError(what: string, error: unknown): unknown {
  const reason = systemErrorText(error)
  if (reason === undefined) return error
  return new ArchiveRefused(`${what}: ${reason}`, { cause: error })
}

function systemErrorText(error: unknown): string | undefined {
  if (!(error instanceof Error && 'syscall' in error && 'errno' in error)) return undefined
  return getSystemErrorMap().get(Number(error.errno))?.[1] ?? error.message
}
