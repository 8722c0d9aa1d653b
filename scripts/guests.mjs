// Checks whether this machine can boot guests, with kernels of their own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startKernel } from './kernel.mjs'
import { provide } from './machine.mjs'
import { installUmlKernel } from './uml-kernel.mjs'

const BUSYBOX = '/usr/bin/busybox'
/** The last line of a kernel that a process has halted. */
const HALTED = /^reboot: (Power down|System halted)$/m

/** Why it cannot; undefined where it can. Installs what is missing, and boots one. */
export async function whyNoGuest() {
  try {
    installUmlKernel()
    if (!provide('busybox')) throw new Error('busybox is not installed')
    await boot()
    return undefined
  } catch (error) {
    return error.message
  }
}

/** A minimal boot: one process, which halts the kernel. Uses nothing of this project. */
async function boot() {
  const dir = mkdtempSync(join(tmpdir(), 'flux-uml-'))
  const remove = () => rmSync(dir, { recursive: true, force: true })
  process.on('exit', remove)
  try {
    const root = ['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro']
    const args = [...root, `init=${BUSYBOX}`, '--', 'poweroff', '-f']
    const kernel = startKernel({ dir, memoryMb: 256, args, limitSeconds: 60 })
    const [printed] = await Promise.all([kernel.console.toArray(), kernel.ended])
    const said = printed.join('').trim()
    if (!HALTED.test(said))
      throw new Error(`the guest kernel does not boot: ${said.split('\n')[0] || 'it says nothing'}`)
  } finally {
    process.off('exit', remove)
    remove()
  }
}
