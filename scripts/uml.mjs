// Runs node in a Linux kernel of its own (User-Mode Linux), whose cgroup v2 has memory, cpu and pids whatever the host's has.
//   node scripts/uml.mjs [ARGUMENT of node …]
// As root, in this folder, with the host's files; what is written there is gone afterwards. Needs linux.uml and busybox.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

const LIMIT_MINUTES = 10
const MEMORY_GB = 3

const dir = mkdtempSync(join(tmpdir(), 'flux-uml-'))
const resultFile = join(dir, 'result')
writeFileSync(join(dir, 'command'), command())

const kernel = spawn('linux.uml', kernelArguments(), {
  env: { ...process.env, TMPDIR: memoryFolder() },
  // Its output comes through a pipe, because it would leave a terminal in raw mode.
  stdio: ['ignore', 'pipe', 'inherit'],
  // A dying kernel signals its whole process group, and a hanging one is killed by it.
  detached: true,
})
kernel.stdout.pipe(process.stdout)
kernel.on('error', (error) => fail(`linux.uml cannot be run: ${error.message}`))
kernel.on('close', () => {
  const result = existsSync(resultFile) ? readFileSync(resultFile, 'utf8').trim() : ''
  if (result === '') fail('the guest kernel has ended before its command')
  process.exitCode = Number(result)
})

const tooLong = () => fail(`the guest kernel is killed: not done within ${LIMIT_MINUTES} minutes`)
setTimeout(tooLong, LIMIT_MINUTES * 60_000).unref()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]))
}
process.on('exit', () => {
  const ended = kernel.exitCode !== null || kernel.signalCode !== null
  if (kernel.pid !== undefined && !ended) process.kill(-kernel.pid, 'SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

function kernelArguments() {
  return [
    `mem=${MEMORY_GB}G`,
    ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro'],
    ...['con=null', 'con0=null,fd:1', 'quiet', 'loglevel=1'],
    `uml_dir=${dir}/`,
    `init=${join(import.meta.dirname, 'uml-init.sh')}`,
    // What the kernel does not know itself becomes init's environment.
    `GUEST_DIR=${dir}`,
  ]
}

/** In a file, because the kernel's command line has room for a few names only. */
function command() {
  // The reporter would take the guest's console for a terminal.
  const colors = process.stdout.isTTY ? {} : { NO_COLOR: '1' }
  const variables = Object.entries({ ...process.env, ...colors, FLUX_KERNEL: 'uml' })
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}\n`)
  const words = [process.execPath, ...process.argv.slice(2)].map(quote)
  return `${variables.join('')}cd ${quote(process.cwd())} && exec ${words.join(' ')}\n`
}

function quote(word) {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** The guest's memory is a file: one on a disk would be written to it over and over. */
function memoryFolder() {
  const shared = '/dev/shm'
  if (!existsSync(shared)) return tmpdir()
  const { bavail, bsize } = statfsSync(shared)
  return bavail * bsize > MEMORY_GB * 2 ** 30 ? shared : tmpdir()
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
