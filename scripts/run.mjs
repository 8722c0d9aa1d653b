import { spawnSync } from 'node:child_process'

/** Runs a command; ends this process with its exit code where that is not 0. */
export function run(command, args, options = {}) {
  // On Windows npm is a batch file, which needs a shell.
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32' && command === 'npm',
    ...options,
  })
  if (error) fail(`${command} cannot be run: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

export function fail(message) {
  console.error(message)
  process.exit(1)
}
