import { readFileSync } from 'node:fs'

/** Why a file by which the agent is let in elsewhere cannot be used. Names the file and never quotes its contents. */
export class AccessFileError extends Error {
  override readonly name = 'AccessFileError'
  readonly code = 'ACCESS_FILE_INVALID'
  constructor(
    /** That names the file, in its section of the configuration. */
    readonly key: string,
    message: string,
  ) {
    super(message)
  }
}

/** Blocks. Throws AccessFileError. */
export function readAccessFile(key: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw unreadable(key, file, error)
  }
}

export function unreadable(key: string, file: string, error: unknown): AccessFileError {
  return new AccessFileError(key, `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
}
