// Unpacks a bare Debian into a folder; its packages are fetched once and kept outside the clone. As root.
// node scripts/debian-tree.mjs RELEASE FOLDER
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cached } from './cache.mjs'
import { run } from './run.mjs'

const [release, folder] = process.argv.slice(2)
const archive = cached(`debian-${release}-minbase.tar`, (made) => {
  const tree = join(dirname(made), 'tree')
  run('debootstrap', ['--variant=minbase', release, tree], { stdio: ['ignore', 'ignore', 'inherit'] })
  run('tar', ['--create', '--file', made, '--directory', tree, '--numeric-owner', '.'])
})
mkdirSync(folder, { recursive: true })
run('tar', ['--extract', '--file', archive, '--directory', folder, '--numeric-owner'])
