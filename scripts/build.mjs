// Installs, generates and compiles, each only as far as something has changed. Runs before anything is installed.
//   node scripts/build.mjs
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { BUNDLES, bundle } from './bundle.mjs'
import { inCi } from './machine.mjs'
import { compileNative, NATIVE_OUTPUTS } from './native.mjs'
import { fail, run } from './run.mjs'
import { files, hashOf, readStamp } from './stamps.mjs'

/** As tsconfig.json names it. */
const COMPILED_BEFORE = 'dist/.tsbuildinfo'
const SOURCES = ['src', 'harness', 'test', 'bench', 'examples']

if (process.argv[1] === import.meta.filename) build()

/** Runs in the repository's folder, which becomes the current one. */
export function build() {
  process.chdir(resolve(import.meta.dirname, '..'))
  install()
  generate()
  compile()
  bundle()
  if (process.platform === 'linux') {
    compileNative('dist')
    recordCode()
  }
}

function install() {
  const stamp = 'node_modules/.setup-stamp'
  const lock = hashOf(['package-lock.json'])
  if (readStamp(stamp) === lock) return
  console.log('installing the packages of package-lock.json')
  // Native dependencies ship prebuilt: no package needs to run a script.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(stamp, lock)
}

function generate() {
  const stamp = 'src/generated/.setup-stamp'
  const header = files('native', 'protocol.h')
  const sources = hashOf([
    ...files('proto', '.proto'),
    ...header,
    'scripts/launcher-protocol.mjs',
    'scripts/messages.mjs',
    'package.json',
  ])
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
  // The compiler knows what it has compiled, but not whether that is still there: after a failure, what is there matches
  // no state that was built.
  if (!existsSync(stamp)) rmSync(COMPILED_BEFORE, { force: true })
  rmSync(stamp, { force: true })
  const outputs = new Set(sources.flatMap((source) => [`${source.slice(0, -3)}.js`, `${source.slice(0, -3)}.js.map`]))
  for (const kept of NATIVE_OUTPUTS) outputs.add(kept)
  const found = SOURCES.flatMap((folder) => files(join('dist', folder), ''))
  for (const file of found) if (!outputs.has(relative('dist', file).split(sep).join('/'))) rmSync(file)
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
  writeFileSync(stamp, state)
}

/** An agent that finds it starts faster. */
function recordCode() {
  const stamp = join(BUNDLES, '.code-stamp')
  const state = `${readStamp(join(BUNDLES, '.setup-stamp'))} ${process.version} ${process.arch}`
  if (readStamp(stamp) === state) return
  console.log('recording what V8 compiles when an agent starts')
  for (const cache of files(BUNDLES, '.cache')) rmSync(cache)
  const { status } = spawnSync(process.execPath, ['scripts/code-cache.mjs', BUNDLES, process.execPath], {
    stdio: 'inherit',
  })
  if (status === 0) writeFileSync(stamp, state)
  else if (inCi) fail('there is no code to record')
  else console.log('nothing is recorded: agents start slower')
}
