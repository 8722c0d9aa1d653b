// The guest kernel of all tests that need one: User-Mode Linux (UML), a Linux kernel as an ordinary program.
// It is Debian testing's, on whatever release this is: 6.1 and 6.12 panic on processors with AMX, whose registers take more
// room than those kernels have. It runs with the C library of testing, which is unpacked beside it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cached, cachedPath, recipeOf } from './cache.mjs'
import { isProgram, provide } from './machine.mjs'
import { files } from './stamps.mjs'

const SUITE = 'testing'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const DEBIAN_PACKAGE = 'user-mode-linux'
const PROGRAM = 'usr/bin/linux.uml'
const MODULES = 'usr/lib/uml/modules'

const MADE = `uml-${SUITE}-${recipeOf(import.meta.filename)}`
/** This release's own, where testing's cannot be had. */
const RELEASES_OWN = 'linux.uml'

/** Installs the kernel; the first time takes some seconds, root and the network. Throws where it cannot. */
export function installUmlKernel() {
  try {
    cached(MADE, make)
  } catch (error) {
    if (!provide(RELEASES_OWN, DEBIAN_PACKAGE)) throw error
    console.error(`the guest kernel is this release's own: ${error.message}`)
  }
}

/** The installed `program`, and the folder of its `modules`. */
export function umlKernel() {
  const tree = cachedPath(MADE)
  if (existsSync(tree)) return { program: join(tree, PROGRAM), modules: onlyFolderOf(join(tree, MODULES)) }
  if (isProgram(RELEASES_OWN)) return { program: RELEASES_OWN, modules: onlyFolderOf(join('/', MODULES)) }
  throw new Error('no guest kernel is installed: `npm test -- kernel` installs one')
}

function make(tree, path) {
  if (!provide('apt-get')) throw new Error(`there is no apt-get to install the ${DEBIAN_PACKAGE} of Debian ${SUITE}`)
  if (!provide('patchelf')) throw new Error('patchelf is not installed')
  for (const debianPackage of download(join(dirname(tree), 'apt'))) command('dpkg-deb', '-x', debianPackage, tree)
  const [loader] = files(tree, 'ld-linux-x86-64.so.2')
  if (loader === undefined) throw new Error(`the packages of Debian ${SUITE} have no ld-linux-x86-64.so.2`)
  const [atLast, libraries] = [loader, dirname(loader)].map((file) => join(path, file.slice(tree.length)))
  command('patchelf', '--set-interpreter', atLast, '--set-rpath', libraries, join(tree, PROGRAM))
}

/** Fetches the kernel and its dependencies into a folder. apt verifies signatures and digests. */
function download(folder) {
  const archives = join(folder, 'archives')
  mkdirSync(join(archives, 'partial'), { recursive: true })
  mkdirSync(join(folder, 'lists/partial'), { recursive: true })
  const sources = join(folder, 'testing.sources')
  writeFileSync(sources, sourcesOf(mirror()))
  const apt = (...args) => command('apt-get', '-qq', ...settings({ folder, archives, sources }), ...args)
  apt('update')
  apt('install', '--yes', '--download-only', '--no-install-recommends', DEBIAN_PACKAGE)
  return files(archives, '.deb')
}

/** Independent of this machine's sources, packages and release. */
function settings({ folder, archives, sources }) {
  const options = {
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': folder,
    'Dir::Cache::archives': archives,
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferences': '-',
    'Dir::Etc::preferencesparts': '-',
    'APT::Default-Release': '',
    'APT::Update::Error-Mode': 'any',
    'APT::Sandbox::User': 'root',
  }
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
}

function sourcesOf(uri) {
  return `Types: deb
URIs: ${uri}
Suites: ${SUITE}
Components: main
Targets: Packages
Signed-By: ${KEYRING}
`
}

/** The mirror that this machine uses. */
function mirror() {
  const ask = () => command('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Label: Debian').split('\n')[0]
  const known = ask()
  if (known !== '') return known
  // A fresh machine has not fetched its package lists.
  command('apt-get', '-qq', 'update')
  const uri = ask()
  if (uri === '') throw new Error('apt is configured with no mirror of Debian')
  return uri
}

/** One for each kernel version, and one kernel in each package. */
function onlyFolderOf(folder) {
  const [name] = readdirSync(folder)
  return join(folder, name ?? '')
}

function command(program, ...args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (error) throw new Error(`${program} cannot be run: ${error.message}`)
  if (status !== 0) throw new Error(`${program} has failed: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}
