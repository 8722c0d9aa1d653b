// The style of all C, by clang-format, and what clang-tidy finds in it: see .clang-format and .clang-tidy.
//   node scripts/c-style.mjs check      fails where a file is not formatted, or a check of clang-tidy has found something
//   node scripts/c-style.mjs format
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, resolve, sep } from 'node:path'
import { has, inCi, isHeader, isProgram, LOAD_LIBRARIES } from './machine.mjs'
import { fail, run } from './run.mjs'
import { files, hashOf, readStamp } from './stamps.mjs'

const FOLDERS = ['native', 'bench', 'harness', 'test']
/** Remembers the files that passed clang-tidy, which takes a second for each. */
const STAMPS = 'dist/.c-style-stamps.json'
const FLAGS = ['-std=gnu11', '-pthread', '-Wall', '-Wextra']
process.chdir(resolve(import.meta.dirname, '..'))

const sources = FOLDERS.flatMap((folder) => files(folder, '.c'))
const headers = FOLDERS.flatMap((folder) => files(folder, '.h'))
const [task] = process.argv.slice(2)
if (task === 'format') format()
else if (task === 'check') await check()
else fail('usage: node scripts/c-style.mjs check | format')

function format() {
  if (isThere('clang-format')) run('clang-format', ['-i', ...sources, ...headers])
  else console.log('clang-format is not installed: C is not formatted')
}

async function check() {
  if (isThere('clang-format')) run('clang-format', ['--dry-run', '--Werror', ...sources, ...headers])
  else console.log('clang-format is not installed: the format of C is not checked')
  // The programs are for Linux: elsewhere their headers are missing.
  const due = process.platform === 'linux' ? dueFiles() : []
  if (due.length === 0) return
  if (isThere('clang-tidy')) await tidyAll(due)
  else console.log('clang-tidy is not installed: C is not checked')
}

/** What has changed since clang-tidy found nothing in it. */
function dueFiles() {
  const passed = readStamps()
  const due = sources
    .map((file) => ({ file, state: hashOf([file, ...headersFor(file), '.clang-tidy', 'scripts/c-style.mjs']) }))
    .filter(({ file, state }) => passed[file] !== state)
  const needLibraries = due.filter(({ file }) => /\bload\b/.test(dirname(file)))
  if (needLibraries.length === 0) return due
  const missing = LOAD_LIBRARIES.filter(({ header, debianPackage }) => !isThere(header, debianPackage, isHeader))
  if (missing.length === 0) return due
  const names = missing.map(({ debianPackage }) => debianPackage).join(' and ')
  console.log(`${names} is not installed: the load client of the benches is not checked`)
  return due.filter((file) => !needLibraries.includes(file))
}

/** The files that it may include: none includes files of another folder of FOLDERS. */
function headersFor(file) {
  const [folder] = file.split(sep)
  return headers.filter((header) => header.startsWith(`${folder}${sep}`))
}

async function tidyAll(due) {
  console.log(`C files that clang-tidy checks: ${due.length}`)
  const passed = readStamps()
  let failed = false
  const rest = due.values()
  const one = async () => {
    for (const { file, state } of rest) {
      if (await tidy(file)) passed[file] = state
      else failed = true
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, one))
  mkdirSync(dirname(STAMPS), { recursive: true })
  writeFileSync(STAMPS, JSON.stringify(passed))
  if (failed) process.exit(1)
}

/** Runs clang-tidy on a file and prints its findings; answers whether there are none. */
async function tidy(file) {
  const child = spawn('clang-tidy', ['--quiet', file, '--', ...FLAGS], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = async (stream) => (await stream.setEncoding('utf8').toArray()).join('')
  const [found, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) console.error(found || errors)
  return code === 0
}

function readStamps() {
  return JSON.parse(readStamp(STAMPS) ?? '{}')
}

/** In CI the tool is required and installed; elsewhere the check is skipped without it. */
function isThere(wanted, debianPackage = wanted, test = isProgram) {
  return inCi ? has(wanted, debianPackage, test) : test(wanted)
}
