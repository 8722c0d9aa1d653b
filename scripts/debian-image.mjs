// Makes a bare Debian with systemd as a disk for guests, once, outside the clone. Needs root.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cached, recipeOf } from './cache.mjs'
import { run } from './run.mjs'

const SIZE = '2G'
const QUIETLY = { stdio: ['ignore', 'ignore', 'inherit'] }

/** A unit that runs the command in a folder named at boot, when everything else is up. */
const COMMAND_UNIT = `[Unit]
Description=The command of this guest
RequiresMountsFor=/mnt/host
ConditionEnvironment=GUEST_DIR

[Service]
Type=exec
ExecStart=/bin/sh /mnt/host\${GUEST_DIR}/command
StandardOutput=tty
StandardError=inherit
`

/** Ends the guest, with the reason, where systemd would wait for a login. */
const EMERGENCY_UNIT = `[Unit]
Description=The end of a guest that does not come up
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl --failed --no-pager; journalctl --boot --no-pager --priority=warning'
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=tty
StandardError=inherit
`

/** Units that a guest does not need: without them it boots in 8 s instead of 20. */
const UNUSED_UNITS = [
  ...['getty.target', 'getty-static.service', 'systemd-logind.service', 'timers.target'],
  ...['dev-hugepages.mount', 'dev-mqueue.mount', 'proc-sys-fs-binfmt_misc.automount', 'sys-fs-fuse-connections.mount'],
  ...['sys-kernel-config.mount', 'sys-kernel-debug.mount', 'sys-kernel-tracing.mount'],
  ...['kmod-static-nodes.service', 'modprobe@.service', 'systemd-modules-load.service', 'systemd-binfmt.service'],
  ...['ldconfig.service', 'systemd-firstboot.service', 'systemd-journal-catalog-update.service'],
  ...['systemd-machine-id-commit.service', 'systemd-pstore.service', 'systemd-random-seed.service'],
  ...['systemd-sysusers.service', 'systemd-update-done.service', 'systemd-update-utmp.service'],
]

/** The path of a Debian release's ext4 image; the first call takes a minute. */
export function debianImage(release) {
  return cached(`debian-${release}-${recipeOf(import.meta.filename)}.ext4`, (image) => {
    const tree = join(dirname(image), 'tree')
    run('debootstrap', ['--variant=minbase', '--include=systemd,systemd-sysv', release, tree], QUIETLY)
    furnish(tree)
    run('mke2fs', ['-q', '-t', 'ext4', '-d', tree, image, SIZE], QUIETLY)
  })
}

function furnish(tree) {
  const units = join(tree, 'etc/systemd/system')
  rmSync(join(tree, 'var/cache/apt'), { recursive: true })
  rmSync(join(tree, 'var/lib/apt/lists'), { recursive: true })
  // The host's files, and the folder of the guest.
  for (const folder of ['host', 'guest']) mkdirSync(join(tree, 'mnt', folder))
  writeFileSync(join(tree, 'etc/fstab'), 'none /mnt/host hostfs ro 0 0\n')
  writeFileSync(join(tree, 'etc/hostname'), 'guest\n')
  writeFileSync(join(units, 'guest-command.service'), COMMAND_UNIT)
  for (const name of ['emergency.service', 'rescue.service']) writeFileSync(join(units, name), EMERGENCY_UNIT)
  for (const unit of UNUSED_UNITS) symlinkSync('/dev/null', join(units, unit))
  const wanted = join(units, 'multi-user.target.wants')
  mkdirSync(wanted, { recursive: true })
  symlinkSync('../guest-command.service', join(wanted, 'guest-command.service'))
}
