// Unpacks a bare Debian into a folder; what it is unpacked from is fetched once and kept outside the clone. As root.
//   node scripts/debian-tree.mjs RELEASE FOLDER
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.mjs'

const CACHE = '/var/cache/flux-agent-tests'

const [release, folder] = process.argv.slice(2)
const archive = join(CACHE, `debian-${release}-minbase.tar`)
if (!existsSync(archive)) fetchInto(archive)
mkdirSync(folder, { recursive: true })
run('tar', ['--extract', '--file', archive, '--directory', folder, '--numeric-owner'])

/** Two runs may fetch it at once: the archive of either is as good. */
function fetchInto(archive) {
  mkdirSync(CACHE, { recursive: true })
  const making = mkdtempSync(join(CACHE, 'making-'))
  process.on('exit', () => rmSync(making, { recursive: true, force: true }))
  const tree = join(making, 'tree')
  run('debootstrap', ['--variant=minbase', release, tree], { stdio: ['ignore', 'ignore', 'inherit'] })
  run('tar', ['--create', '--file', join(making, 'archive'), '--directory', tree, '--numeric-owner', '.'])
  renameSync(join(making, 'archive'), archive)
}
