// Runs a Linux kernel as a child process.
import { spawn } from 'node:child_process'
import { existsSync, statfsSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { umlKernel } from './uml-kernel.mjs'

/**
 * Starts a kernel with its sockets in `dir`. `ended` rejects where it cannot run, or exceeds `limitSeconds` and is
 * killed. Killed also when this process ends.
 */
export function startKernel({ dir, memoryMb, args, limitSeconds = 600 }) {
  const { program, modules } = umlKernel()
  const kernel = spawn(program, [...commonArguments(dir, memoryMb, modules), ...args], {
    env: { ...process.env, TMPDIR: memoryFolder(memoryMb) },
    // The console is a pipe, because it would leave a terminal in raw mode. It is not stdout, to which the program
    // itself reports about the host.
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    // A dying kernel signals its process group, and a hanging one is killed by group.
    detached: true,
  })
  const hasEnded = () => kernel.exitCode !== null || kernel.signalCode !== null
  const kill = () => {
    if (kernel.pid !== undefined && !hasEnded()) process.kill(-kernel.pid, 'SIGKILL')
  }
  process.on('exit', kill)
  const ended = new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      kill()
      reject(new Error(`the guest kernel is killed: not done within ${limitSeconds} seconds`))
    }, limitSeconds * 1000)
    kernel.on('exit', () => clearTimeout(timer))
    kernel.on('error', (error) => {
      clearTimeout(timer)
      reject(new Error(`${program} cannot be run: ${error.message}`))
    })
    kernel.on('close', () => resolve())
  })
  return { console: kernel.stdio[3].setEncoding('utf8'), ended }
}

function commonArguments(dir, memoryMb, modules) {
  return [
    ...[`mem=${memoryMb}M`, `uml_dir=${dir}/`, 'con=null', 'con0=null,fd:3', 'quiet', 'loglevel=1'],
    // Much faster than ptrace, the fallback; 6.1 ignores the option.
    'seccomp=auto',
    // The rings of io_uring, which Node 24 uses, corrupt the guest's memory when their process ends.
    'sysctl.kernel.io_uring_disabled=2',
    // The agent's port, which an outgoing connection may not get while the agent is away.
    'sysctl.net.ipv4.ip_local_reserved_ports=50052',
    // Options unknown to the kernel become init's environment.
    `GUEST_MODULES=${modules}`,
  ]
}

/** Makes this process run its exit handlers, which kill its kernels, also when a signal ends it. */
export function exitBySignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

export function quote(word) {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** The guest's memory is a file; on a disk it would be written repeatedly. */
function memoryFolder(memoryMb) {
  const shared = '/dev/shm'
  if (!existsSync(shared)) return tmpdir()
  const { bavail, bsize } = statfsSync(shared)
  return bavail * bsize > memoryMb * 2 ** 20 ? shared : tmpdir()
}
