/** Writes to stdout; resolves when it accepts more. */
export function writeOut(data: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(data)) resolve()
    else process.stdout.once('drain', resolve)
  })
}

/** Writes a value as JSON, for scripts. */
export function writeJson(value: unknown): Promise<void> {
  return writeOut(`${JSON.stringify(value, null, 2)}\n`)
}

/** Ends the process silently when the reader of stdout has ended, as the shell does for SIGPIPE. */
export function endQuietlyWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(141)
    console.error(`flux-agent: cannot write the output: ${error.message}`)
    process.exit(1)
  })
}
