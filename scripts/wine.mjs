// Makes a Debian with Wine, once, outside the clone, and prints its folder. As root.
//   node scripts/wine.mjs
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { cached } from './cache.mjs'
import { has } from './machine.mjs'
import { fail } from './run.mjs'

/** The release's Wine is the oldest that runs this Node. Raise the number when the tree made here changes. */
const TREE = 'wine-trixie-1'
/**
 * Runs in a mount namespace. $1: the tree. Without a display, Mono and Gecko, Wine opens no window and downloads
 * nothing.
 */
const INSTALL = `set -e
mount --bind /proc "$1/proc"
mount --bind /dev "$1/dev"
export DEBIAN_FRONTEND=noninteractive HOME=/root
chroot "$1" apt-get -qq update
chroot "$1" apt-get -qq install --yes --no-install-recommends wine wine64
chroot "$1" apt-get clean
export WINEPREFIX=/prefix WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe=d'
chroot "$1" wineboot --init
chroot "$1" wineserver --wait
`

console.log(cached(TREE, make))

function make(tree) {
  if (process.getuid() !== 0 || !has('debootstrap')) fail('Wine needs root and debootstrap')
  const to = { stdio: ['ignore', 'ignore', 'inherit'] }
  const base = spawnSync(process.execPath, [join(import.meta.dirname, 'debian-tree.mjs'), 'trixie', tree], to)
  if (base.status !== 0) fail('no Debian for Wine')
  const inNamespace = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', INSTALL, 'sh', tree]
  if (spawnSync('unshare', inNamespace, to).status !== 0) fail('Wine cannot be installed')
}
