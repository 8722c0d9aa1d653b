// Builds a Debian package, reproducibly from a commit and tools, but for what V8 has compiled ahead.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, lutimesSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createProgram } from '../dist/src/cli/program.js'
import { has } from '../scripts/machine.mjs'
import { fail, run } from '../scripts/run.mjs'
import { NODE_OPTIONS, runtimeFolder } from '../scripts/runtime.mjs'
import { files } from '../scripts/stamps.mjs'
import { bashCompletion } from './bash-completion.mjs'
import { manPage } from './man-page.mjs'
import { stageProgram } from './program.mjs'
import { RELEASE_TIME, VERSION } from './release.mjs'
import { filled } from './template.mjs'

const SOURCES = join(import.meta.dirname, 'debian')
const OBSERVABILITY = join(import.meta.dirname, 'observability')
const MAINTAINER_SCRIPTS = ['postinst', 'prerm', 'postrm']
const UNITS = ['flux-agent.service', 'flux-agent-executions.service']

/** Architectures by their Debian names: npm's names, the compilers and the packages that contain these. */
const TARGETS = {
  amd64: { cpu: 'x64', tools: 'x86_64-linux-gnu', gcc: 'gcc', libc: 'libc6-dev' },
  arm64: { cpu: 'arm64', tools: 'aarch64-linux-gnu', gcc: 'gcc-aarch64-linux-gnu', libc: 'libc6-dev-arm64-cross' },
}

/** Ends this process where a prerequisite of `buildDeb` is missing. */
export function prepareDeb(architecture) {
  const missing = missingTools(architecture)
  if (missing.length > 0) fail(`flux-agent_${architecture}.deb needs ${missing.join(', ')}: install them`)
}

/** The missing Debian packages that `buildDeb` needs; installs those it can. */
export function missingTools(architecture) {
  const { tools, gcc, libc } = TARGETS[architecture]
  const isInCompiler = (library) => isAbsolute(libraryOf(tools, library))
  const needed = [
    ['dpkg', has('dpkg-deb', 'dpkg')],
    ['patchelf', has('patchelf')],
    [gcc, has(`${tools}-gcc`, gcc) && has(`${tools}-strip`, gcc)],
    [libc, has('libc.a', libc, isInCompiler)],
  ]
  return needed.filter(([, isThere]) => !isThere).map(([name]) => name)
}

/** Builds a package into a folder. `architecture` is amd64 or arm64. Needs a complete build, and `prepareDeb`. */
export function buildDeb(architecture, folder) {
  const { cpu, tools } = TARGETS[architecture]
  const tree = join(folder, `deb-${architecture}`)
  const home = join(tree, 'usr/lib/flux-agent')
  rmSync(tree, { recursive: true, force: true })
  stageProgram({ os: 'linux', cpu, compiler: `${tools}-gcc` }, home)
  stageRuntime({ cpu, tools }, home)
  // Node for another processor does not run here: an agent there compiles when it starts.
  if (cpu === process.arch) {
    const node = join(runtimeFolder({ os: 'linux', cpu }), 'bin/node')
    run(process.execPath, ['scripts/code-cache.mjs', join(home, 'dist/agent'), node, ...NODE_OPTIONS])
  }
  stageSystemFiles(tree)
  writeControl(tree, architecture)
  settle(tree)
  const deb = join(folder, `flux-agent_${debianVersion()}_${architecture}.deb`)
  const environment = { ...process.env, SOURCE_DATE_EPOCH: `${RELEASE_TIME}` }
  run('dpkg-deb', ['--root-owner-group', '-Zxz', '-z3', '--build', tree, deb], { env: environment })
  rmSync(tree, { recursive: true })
}

/** Node, and the one library that a bare system lacks. */
function stageRuntime({ cpu, tools }, home) {
  const node = join(home, 'bin/node')
  const library = join(home, 'lib/libatomic.so.1')
  install(join(runtimeFolder({ os: 'linux', cpu }), 'bin/node'), node)
  install(libraryOf(tools, 'libatomic.so.1'), library)
  const natives = files(home, '').filter(isElf)
  run(`${tools}-strip`, ['--strip-unneeded', ...natives])
  // An RPATH, because a variable would reach functions; absolute, because $ORIGIN needs /proc.
  run('patchelf', ['--set-rpath', '/usr/lib/flux-agent/lib', node])
}

function stageSystemFiles(tree) {
  const documents = join(tree, 'usr/share/doc/flux-agent')
  const command = readFileSync(join(SOURCES, 'flux-agent'), 'utf8')
  write(join(tree, 'usr/bin/flux-agent'), filled(command, { NODE_OPTIONS: NODE_OPTIONS.join(' ') }))
  for (const unit of UNITS) install(join(SOURCES, unit), join(tree, 'usr/lib/systemd/system', unit))
  install('example.agent.yaml', join(tree, 'etc/flux-agent/agent.yaml.example'))
  install(join(SOURCES, 'lintian-overrides'), join(tree, 'usr/share/lintian/overrides/flux-agent'))
  install(join(SOURCES, 'copyright'), join(documents, 'copyright'))
  for (const name of ['alerts.yaml', 'dashboard.json'])
    install(join(OBSERVABILITY, name), join(documents, 'observability', name))
  install(join(runtimeFolder({ os: 'linux', cpu: 'x64' }), 'LICENSE'), join(documents, 'LICENSE.node'))
  writeCompressed(join(documents, 'changelog.gz'), changelog())
  const program = createProgram()
  writeCompressed(join(tree, 'usr/share/man/man1/flux-agent.1.gz'), manPage(program, VERSION, RELEASE_TIME))
  write(join(tree, 'usr/share/bash-completion/completions/flux-agent'), bashCompletion(program))
}

function changelog() {
  const [maintainer] = /(?<=^Maintainer: ).*/m.exec(readFileSync(join(SOURCES, 'control'), 'utf8'))
  const date = new Date(RELEASE_TIME * 1000).toUTCString().replace('GMT', '+0000')
  return `flux-agent (${debianVersion()}) stable; urgency=medium\n\n  * Release ${VERSION}.\n\n -- ${maintainer}  ${date}\n`
}

function writeControl(tree, architecture) {
  // Compiled code is of another size each time it is written down.
  const all = files(tree, '').filter((file) => !file.endsWith('.cache'))
  const kilobytes = all.reduce((sum, file) => sum + Math.ceil(statSync(file).size / 1024), 0)
  const fields = { VERSION: debianVersion(), ARCHITECTURE: architecture, INSTALLED_SIZE: kilobytes }
  const control = filled(readFileSync(join(SOURCES, 'control'), 'utf8'), fields)
  // Files in /etc belong to the administrator.
  const sums = files(join(tree, 'usr'), '').map((file) => `${md5(file)}  ${relative(tree, file)}\n`)
  write(join(tree, 'DEBIAN/control'), control)
  write(join(tree, 'DEBIAN/md5sums'), sums.join(''))
  for (const name of ['conffiles', ...MAINTAINER_SCRIPTS]) install(join(SOURCES, name), join(tree, 'DEBIAN', name))
}

/** Sets modes by file type, independent of the umask, and one time for all. */
function settle(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) settle(path)
    else chmodSync(path, isProgram(path) ? 0o755 : 0o644)
    lutimesSync(path, RELEASE_TIME, RELEASE_TIME)
  }
  chmodSync(folder, 0o755)
}

function isProgram(file) {
  return isElf(file) ? !/\.(node|so\.\d+)$/.test(file) : startsWith(file, '#!')
}

function isElf(file) {
  return startsWith(file, '\x7fELF')
}

function startsWith(file, bytes) {
  return readFileSync(file).subarray(0, bytes.length).equals(Buffer.from(bytes, 'latin1'))
}

/** The compiler's path to it; only its name where there is none. */
function libraryOf(tools, name) {
  return spawnSync(`${tools}-gcc`, [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout?.trim() ?? name
}

/** Debian marks pre-releases by a tilde. */
function debianVersion() {
  return VERSION.replace('-', '~')
}

function md5(file) {
  return createHash('md5').update(readFileSync(file)).digest('hex')
}

function install(source, target) {
  write(target, readFileSync(source))
}

function writeCompressed(target, text) {
  write(target, gzipSync(text, { level: 9 }))
}

function write(target, content) {
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, content)
}
