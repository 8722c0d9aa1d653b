// Collects the program's files for a package, for one system.
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { compileNative } from '../scripts/native.mjs'
import { run } from '../scripts/run.mjs'
import { files } from '../scripts/stamps.mjs'

const root = resolve(import.meta.dirname, '..')

/** Files of dependencies that only developers, compilers, or other versions of Node and C libraries need. */
const NOT_NEEDED = [
  /\.[cm]?ts$/,
  /\.(map|tsbuildinfo|gypi?|c|cc|cpp|h|hpp|ya?ml|html)$/,
  /(^|\/)(?!licen[cs]e)[^/]*\.(md|markdown)$/i,
  /(^|\/)(tests?|bench(mark)?s?|examples?|docs)\//,
  /(^|\/)\.[^/]+/,
  /\.(musl|abi\d+(\.glibc)?)\.node$/,
]

/**
 * Copies the build and its dependencies into a folder. `os` and `cpu` are npm's names; for Linux, `compiler` makes the
 * native programs.
 */
export function stageProgram({ os, cpu, compiler }, folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeManifest(folder)
  installPackages({ os, cpu }, folder)
  for (const read of ['proto', 'page']) cpSync(join(root, read), join(folder, read), { recursive: true })
  const program = join(root, 'dist', 'agent')
  for (const file of [...files(program, '.js'), join(program, 'package.json')])
    copy(file, join(folder, relative(root, file)))
  if (os === 'linux') compileInto(join(folder, 'dist'), compiler)
}

function installPackages({ os, cpu }, folder) {
  // In a temporary folder, since only a part of the installation is copied.
  const all = `${folder}-packages`
  rmSync(all, { recursive: true, force: true })
  for (const name of ['package.json', 'package-lock.json']) copy(join(root, name), join(all, name))
  const target = [`--os=${os}`, `--cpu=${cpu}`, ...(os === 'linux' ? ['--libc=glibc'] : [])]
  const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  run('npm', ['ci', ...target, ...flags], { cwd: all })
  for (const file of files(join(all, 'node_modules'), '')) {
    const name = relative(all, file)
    if (isNeeded(file, name)) copy(file, join(folder, name))
  }
  rmSync(all, { recursive: true })
}

function writeManifest(folder) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { name, version, description, license, type, engines } = manifest
  const kept = { name, version, description, license, type, engines }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(kept, undefined, 2)}\n`)
}

function isNeeded(file, name) {
  if (NOT_NEEDED.some((pattern) => pattern.test(name))) return false
  // Commands of dependencies start with another Node's path.
  return !readFileSync(file).subarray(0, 2).equals(Buffer.from('#!'))
}

function compileInto(folder, compiler) {
  compileNative(folder, compiler)
  for (const stamp of files(folder, '-stamp')) rmSync(stamp)
}

function copy(file, target) {
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(file, target)
}
