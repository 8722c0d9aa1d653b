// Runs test files by node --test, here and in guests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { entryOf, inProcesses } from './processes.mjs'
import { splitReport } from './results.mjs'

/** A test without an end fails, too. A chaos campaign takes as long as it is configured to, on each store. */
const FILE_LIMIT_MS = 900_000 + 2_000 * Number(process.env.CHAOS_SECONDS ?? 0)
const SOURCE_MAPS = '--enable-source-maps'
const RUN_FILES = join(import.meta.dirname, 'run-files.mjs')
const REPORTER = join(import.meta.dirname, 'results.mjs')

/**
 * Runs tests; answers the exit code, and what became of each test. With `shared` files share processes, unless
 * there are options for each one.
 */
export async function runTests(testFiles, { node = process.execPath, env, concurrency, options, shared = false }) {
  if (testFiles.length === 0) return { code: 0, tests: [] }
  const dir = mkdtempSync(join(tmpdir(), 'flux-tests-'))
  try {
    const processes = shared && options.length === 0 ? inProcesses(testFiles) : testFiles.map((file) => [file])
    const files = processes.map((together) => entryOf(together, dir))
    const report = join(dir, 'results')
    const config = { files, concurrency, timeout: FILE_LIMIT_MS, options: [SOURCE_MAPS, ...options], report }
    const tests = spawn(node, [RUN_FILES, JSON.stringify(config)], {
      stdio: 'inherit',
      env: { ...process.env, ...env },
    })
    const [code] = await once(tests, 'close')
    return { code: code ?? 1, tests: splitReport(readFileSync(report, 'utf8')).tests }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Runs tests in a guest, which has one processor and cannot write here. `printed`: its output. */
export async function runInGuest(testFiles, options) {
  if (testFiles.length === 0) return { code: 0, tests: [], printed: '' }
  const args = ['scripts/uml.mjs', ...flagsOf(options), 'scripts/import-each.mjs', ...testFiles]
  const guest = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [printed, [code]] = await Promise.all([guest.stdout.setEncoding('utf8').toArray(), once(guest, 'close')])
  const { tests, text } = splitReport(printed.join(''))
  return { code: code ?? 1, tests, printed: text }
}

function flagsOf(options) {
  const flags = ['spec', REPORTER].flatMap((name) => [`--test-reporter=${name}`, '--test-reporter-destination=stdout'])
  return [SOURCE_MAPS, ...flags, ...options]
}
