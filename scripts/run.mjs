import { spawnSync } from 'node:child_process'

/** Ends this process with the command's exit code where that is not 0. */
export function run(command, args, options = {}) {
  // npm is a batch file on Windows, which only a shell runs.
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
