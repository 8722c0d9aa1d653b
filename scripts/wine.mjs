// Makes a Debian with Wine, once, outside the clone, and prints its folder. As root.
//   node scripts/wine.mjs
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { has } from './machine.mjs'
import { fail } from './run.mjs'

const CACHE = '/var/cache/flux-agent-tests'
/** Its Wine is the oldest that runs this Node; the number goes up with what is done to the tree here. */
const TREE = join(CACHE, 'wine-trixie-1')
/** Run in a mount namespace of its own. $1: the tree. Without a display, Mono and Gecko no window and no download comes. */
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

if (!existsSync(TREE)) make()
console.log(TREE)

/** Two runs may make it at once: the first one's is taken. */
function make() {
  if (process.getuid() !== 0 || !has('debootstrap')) fail('Wine needs root and debootstrap')
  mkdirSync(CACHE, { recursive: true })
  const making = mkdtempSync(join(CACHE, 'making-'))
  process.on('exit', () => rmSync(making, { recursive: true, force: true }))
  const tree = join(making, 'tree')
  const to = { stdio: ['ignore', 'ignore', 'inherit'] }
  console.error(`making ${TREE}`)
  const base = spawnSync(process.execPath, [join(import.meta.dirname, 'debian-tree.mjs'), 'trixie', tree], to)
  if (base.status !== 0) fail('no Debian for Wine')
  const inNamespace = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', INSTALL, 'sh', tree]
  if (spawnSync('unshare', inNamespace, to).status !== 0) fail('Wine cannot be installed')
  if (!existsSync(TREE)) renameSync(tree, TREE)
}
