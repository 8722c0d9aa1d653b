// A Linux kernel as a child of this process: User-Mode Linux, linux.uml.
import { spawn } from 'node:child_process'
import { existsSync, statfsSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { fail } from './run.mjs'

const LIMIT_MINUTES = 10

/**
 * Starts one that keeps its sockets in `dir`; its console is the child's stdout. It is killed when it takes too long,
 * and when this process ends.
 */
export function startKernel({ dir, memoryGb, args }) {
  const common = [`mem=${memoryGb}G`, `uml_dir=${dir}/`, 'con=null', 'con0=null,fd:1', 'quiet', 'loglevel=1']
  const kernel = spawn('linux.uml', [...common, ...args], {
    env: { ...process.env, TMPDIR: memoryFolder(memoryGb) },
    // Its output comes through a pipe, because it would leave a terminal in raw mode.
    stdio: ['ignore', 'pipe', 'inherit'],
    // A dying kernel signals its whole process group, and a hanging one is killed by it.
    detached: true,
  })
  kernel.on('error', (error) => fail(`linux.uml cannot be run: ${error.message}`))
  const tooLong = () => fail(`the guest kernel is killed: not done within ${LIMIT_MINUTES} minutes`)
  const timer = setTimeout(tooLong, LIMIT_MINUTES * 60_000)
  kernel.on('exit', () => clearTimeout(timer))
  process.on('exit', () => {
    const ended = kernel.exitCode !== null || kernel.signalCode !== null
    if (kernel.pid !== undefined && !ended) process.kill(-kernel.pid, 'SIGKILL')
  })
  return kernel
}

/** Lets this process run its exit handlers, which kill its kernels, also where it is ended by a signal. */
export function exitBySignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

export function quote(word) {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** The guest's memory is a file: one on a disk would be written to it over and over. */
function memoryFolder(memoryGb) {
  const shared = '/dev/shm'
  if (!existsSync(shared)) return tmpdir()
  const { bavail, bsize } = statfsSync(shared)
  return bavail * bsize > memoryGb * 2 ** 30 ? shared : tmpdir()
}
