// Runs node in a Linux kernel of its own (User-Mode Linux), whose cgroup v2 has memory, cpu and pids whatever the host's has.
//   node scripts/uml.mjs [ARGUMENT of node …]
// As root, in this folder, with the host's files; what is written there is gone afterwards. Needs the kernel of
// uml-kernel.mjs, and busybox.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exitBySignals, quote, startKernel } from './kernel.mjs'
import { fail } from './run.mjs'

const MEMORY_MB = 3072

exitBySignals()
const dir = mkdtempSync(join(tmpdir(), 'flux-uml-'))
const resultFile = join(dir, 'result')
writeFileSync(join(dir, 'command'), command())

process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
const kernel = startKernel({ dir, memoryMb: MEMORY_MB, args: kernelArguments() })
kernel.console.pipe(process.stdout)
await kernel.ended.catch((error) => fail(error.message))
const result = existsSync(resultFile) ? readFileSync(resultFile, 'utf8').trim() : ''
if (result === '') fail('the guest kernel has ended before its command')
process.exitCode = Number(result)

function kernelArguments() {
  return [
    ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro'],
    ...[`init=${join(import.meta.dirname, 'uml-init.sh')}`, `GUEST_DIR=${dir}`],
  ]
}

/** In a file, since the kernel's command line has little room. */
function command() {
  // The reporter would take the guest's console for a terminal.
  const colors = process.stdout.isTTY ? {} : { NO_COLOR: '1' }
  const variables = Object.entries({ ...process.env, ...colors, FLUX_KERNEL: 'uml' })
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}\n`)
  const words = [process.execPath, ...process.argv.slice(2)].map(quote)
  return `${variables.join('')}cd ${quote(process.cwd())} && exec ${words.join(' ')}\n`
}
