// Boots a bare Debian with systemd in a kernel of its own and runs scripts of node there, as root.
//   node scripts/systemd-guest.mjs RELEASE FOLDER SCRIPT …
// Each script after a boot of its own, all on one disk, which is gone afterwards. In the guest FOLDER, the only way out,
// is /mnt/guest, and the host's files are at /mnt/host, read-only. There is no network but the loopback.
// Exits with 1 where a script fails, and with 77 where this machine cannot do it. Needs root and Debian's tools.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { debianImage } from './debian-image.mjs'
import { exitBySignals, quote, startKernel } from './kernel.mjs'
import { has } from './machine.mjs'
import { fail } from './run.mjs'
import { umlKernel } from './uml-kernel.mjs'

const CANNOT = 77
const MEMORY_MB = 2048
const TOOLS = { debootstrap: 'debootstrap', mke2fs: 'e2fsprogs' }

const [release, folder, ...scripts] = process.argv.slice(2)
if (scripts.length === 0) fail('usage: node scripts/systemd-guest.mjs RELEASE FOLDER SCRIPT…')
for (const [tool, debianPackage] of Object.entries(TOOLS)) if (!has(tool, debianPackage)) cannot(`${tool} is missing`)
try {
  umlKernel()
} catch (error) {
  cannot(error.message)
}
if (process.getuid() !== 0) cannot('only root can make the disk of the guest')
exitBySignals()
const dir = resolve(folder)
// The test that started this has ended, and cannot remove its folder.
process.on('disconnect', () => {
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  process.exit(1)
})
const disk = join(dir, 'disk')
process.on('exit', () => rmSync(disk, { force: true }))
const image = debianImage(release)
for (const script of scripts) {
  const code = await boot(script)
  if (code !== 0) process.exit(code)
}
process.exit(0)

/** Boots, runs and halts the kernel; answers the script's exit code. */
async function boot(script) {
  const result = join(dir, 'result')
  rmSync(result, { force: true })
  writeFileSync(join(dir, 'command'), command(resolve(script)))
  const kernel = startKernel({ dir, memoryMb: MEMORY_MB, args: kernelArguments() })
  kernel.console.pipe(process.stdout, { end: false })
  await kernel.ended.catch((error) => fail(error.message))
  if (!existsSync(result)) fail(`the guest has ended before ${script}`)
  return Number(readFileSync(result, 'utf8'))
}

function kernelArguments() {
  return [
    // The image is never written to.
    ...[`ubd0=${disk},${image}`, 'root=/dev/ubda', 'rw'],
    ...['systemd.show_status=no', 'TERM=dumb', `systemd.setenv=GUEST_DIR=${dir}`],
  ]
}

function command(script) {
  // mount(2) passes only the path; newer mount programs would use another call where they can.
  return `stty -onlcr </dev/console
LIBMOUNT_FORCE_MOUNT2=always mount -t hostfs -o ${quote(dir)} none /mnt/guest
cd / && NO_COLOR=1 /mnt/host${quote(process.execPath)} --enable-source-maps --test-reporter=spec /mnt/host${quote(script)}
echo $? >/mnt/guest/result
[ "$(cat /mnt/guest/result)" = 0 ] || journalctl --boot --no-pager --unit=flux-agent --lines=150
systemctl poweroff 2>/dev/null
`
}

function cannot(why) {
  console.log(why)
  process.exit(CANNOT)
}
