// Installs, builds, packages and tests, each only as far as something has changed. Runs before anything is installed.
//   node scripts/setup.mjs build
//   node scripts/setup.mjs bench
//   node scripts/setup.mjs test [part of a test file's path …] [--option of node --test …]
//   node scripts/setup.mjs test:packages [the same]
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { whyNoGuest } from './guests.mjs'
import { has, inCi, isHeader, LOAD_LIBRARIES } from './machine.mjs'
import { compileNative, NATIVE_OUTPUTS } from './native.mjs'
import { fail, run } from './run.mjs'
import { fetchRuntimes, runtimeFolder } from './runtime.mjs'
import { files, hashOf, readStamp } from './stamps.mjs'

const root = resolve(import.meta.dirname, '..')
const SOURCES = ['src', 'harness', 'test', 'bench', 'examples']
const PACKAGE_TESTS = join('dist', 'test', 'packages')
/** What runs in a guest kernel, and what boots a whole system in one. */
const KERNEL_TESTS = join('dist', 'test', 'kernel')
const SYSTEMD_TESTS = join(PACKAGE_TESTS, 'systemd')
process.chdir(root)

const [task, ...rest] = process.argv.slice(2)
if (task === 'build') build()
else if (task === 'bench') bench()
else if (task === 'test') await test(rest)
else if (task === 'test:packages') await testPackages(rest)
else fail('usage: node scripts/setup.mjs build | bench | test [FILTER…] | test:packages [FILTER…]')

function build() {
  install()
  generate()
  compile()
  if (process.platform === 'linux') compileNative('dist')
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
  const header = files('native', 'protocol.h')
  const sources = hashOf([...files('proto', '.proto'), ...header, 'scripts/launcher-protocol.mjs', 'package.json'])
  if (readStamp(stamp) === sources) return
  console.log('generating the types of proto/*.proto')
  rmSync('src/generated', { recursive: true, force: true })
  run('npm', ['run', '--silent', 'generate'])
  writeFileSync(stamp, sources)
}

function compile() {
  const stamp = 'dist/.setup-stamp'
  const sources = SOURCES.flatMap((folder) => files(folder, '.ts'))
  const state = hashOf([...sources, 'tsconfig.json', 'package-lock.json'])
  if (readStamp(stamp) === state) return
  console.log(`compiling ${sources.length} files to dist/`)
  const outputs = new Set(sources.flatMap((source) => [`${source.slice(0, -3)}.js`, `${source.slice(0, -3)}.js.map`]))
  for (const kept of NATIVE_OUTPUTS) outputs.add(kept)
  const found = SOURCES.flatMap((folder) => files(join('dist', folder), ''))
  for (const file of found) if (!outputs.has(relative('dist', file).split(sep).join('/'))) rmSync(file)
  // The compiler also writes what is wrong: should it fail, what is there is of no state that was built.
  rmSync(stamp, { force: true })
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
  writeFileSync(stamp, state)
}

function bench() {
  build()
  if (!hasLoadLibraries()) console.log('the load client of the benches will have no library to be compiled with')
}

async function test(args) {
  build()
  const all = files(join('dist', 'test'), '.test.js').filter((file) => !file.startsWith(PACKAGE_TESTS))
  const { chosen, options } = choose(all, args)
  if (!has('redis-server')) console.log('redis-server is not installed: the tests that need it are skipped')
  if (!hasLoadLibraries())
    console.log('libnghttp2-dev or libssl-dev is not installed: the tests that need them are skipped')
  const [inGuest, ordinary] = await splitByGuest(chosen, KERNEL_TESTS)
  let code = runTests(process.execPath, ordinary, options)
  code = (await runInGuests(inGuest, options)) || code
  // Thousands of executions once are enough.
  const endToEnd = ordinary.filter((file) => file.startsWith(join('dist', 'test', 'e2e')) && !file.includes('soak'))
  if (inCi && endToEnd.length > 0) {
    console.log('end-to-end tests once more, on the Node that the packages bring')
    fetchRuntimes()
    const node = join(runtimeFolder({ os: process.platform, cpu: process.arch }), 'bin', 'node')
    code = runTests(node, endToEnd, options) || code
  }
  process.exitCode = code
}

/** Builds the packages and tries them where they are meant to run, or as near to that as this machine comes. */
async function testPackages(args) {
  build()
  const { chosen, options } = choose(files(PACKAGE_TESTS, '.test.js'), args)
  const { missingTools } = await import('../packaging/deb.mjs')
  const missing = new Set(['amd64', 'arm64'].flatMap(missingTools))
  if (missing.size > 0) {
    console.log(`skipped, because ${[...missing].join(', ')} is not installed: ${chosen.join(' ')}`)
    return
  }
  const tools = { lintian: 'lintian', debootstrap: 'debootstrap', ip: 'iproute2', man: 'man-db' }
  for (const [program, debianPackage] of Object.entries({ ...tools, 'qemu-aarch64-static': 'qemu-user-static' })) {
    if (!has(program, debianPackage)) console.log(`${program} is not installed: the tests that need it are skipped`)
  }
  run(process.execPath, ['packaging/build.mjs'])
  const [inGuest, others] = await splitByGuest(chosen, SYSTEMD_TESTS)
  process.exitCode = runAtOnce(2, process.execPath, [...others, ...inGuest], options)
}

/** The test files below `folder`, which need a guest, and the others. Where no guest boots the former are skipped. */
async function splitByGuest(testFiles, folder) {
  const inGuest = testFiles.filter((file) => file.startsWith(folder))
  const others = testFiles.filter((file) => !inGuest.includes(file))
  const reason = inGuest.length > 0 ? await whyNoGuest() : undefined
  if (reason === undefined) return [inGuest, others]
  // In CI, too: it is the machine that cannot, and the other tests still decide.
  console.log(`skipped, because ${reason}: ${inGuest.join(' ')}`)
  return [[], others]
}

/** The test files whose paths have one of the given parts, and what is for node. */
function choose(all, args) {
  const filters = args.filter((arg) => !arg.startsWith('-'))
  const options = args.filter((arg) => arg.startsWith('-'))
  const chosen = all.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  if (chosen.length === 0) fail(`no test file's path has ${filters.join(' or ')} in it`)
  return { chosen, options }
}

function runTests(node, testFiles, options) {
  const others = testFiles.filter((file) => !measures(file))
  const code = runAtOnce(2, node, others, options)
  return runAtOnce(1, node, testFiles.filter(measures), options) || code
}

/** A guest has one processor, so there are two, each with a half of the files. */
async function runInGuests(testFiles, options) {
  const halves = [0, 1].map((half) => testFiles.filter((_, i) => i % 2 === half)).filter(({ length }) => length > 0)
  const codes = await Promise.all(halves.map((half) => runInGuest(half, options)))
  return codes.find((code) => code !== 0) ?? 0
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

function hasLoadLibraries() {
  return LOAD_LIBRARIES.every(({ header, debianPackage }) => has(header, debianPackage, isHeader))
}
