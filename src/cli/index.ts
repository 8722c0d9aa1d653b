import { isJournal, journalEntries } from '../log/journal.js'
import { systemFailure } from '../os/system-failure.js'
import { CommandFailure } from './failure.js'
import { createProgram } from './program.js'
import { endQuietlyWithReader } from './stdout.js'

endQuietlyWithReader()
createProgram()
  .parseAsync()
  .catch((error: unknown) => {
    // A ConfigError has a line for each wrong value.
    const text = (systemFailure(error) ?? (error as Error).message).replace(/^/gm, 'flux-agent: ')
    process.stderr.write(isJournal() ? journalEntries('fatal', text) : `${text}\n`)
    process.exitCode = error instanceof CommandFailure ? error.exitCode : 1
  })
