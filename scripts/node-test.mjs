// Runs test files by node --test, here and in guests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { splitReport } from './slowest.mjs'

/** A test without an end fails, too. A chaos campaign takes as long as it is configured to, on each store. */
const FILE_LIMIT_MS = 900_000 + 2_000 * Number(process.env.CHAOS_SECONDS ?? 0)
/** In a guest, whose own limit names no test. */
const GUEST_FILE_LIMIT_MS = 300_000
const REPORTER = join(import.meta.dirname, 'slowest.mjs')

/** Runs tests; answers the exit code, and with `timed` how long each test took. */
export async function runTests(testFiles, { node = process.execPath, concurrency, options, timed }) {
  if (testFiles.length === 0) return { code: 0, took: [] }
  const dir = mkdtempSync(join(tmpdir(), 'flux-tests-'))
  try {
    const report = join(dir, 'took')
    const flags = [...flagsOf(concurrency, FILE_LIMIT_MS), ...reporters(timed && report), ...options]
    const [code] = await once(spawn(node, [...flags, ...testFiles], { stdio: 'inherit' }), 'close')
    return { code: code ?? 1, took: timed ? splitReport(readFileSync(report, 'utf8')).took : [] }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Runs tests in a guest, which has one processor and cannot write here. `printed`: its output. */
export async function runInGuest(testFiles, { options, timed }) {
  if (testFiles.length === 0) return { code: 0, took: [], printed: '' }
  const flags = [...flagsOf(1, GUEST_FILE_LIMIT_MS), ...reporters(timed && 'stdout'), ...options]
  const guest = spawn(process.execPath, ['scripts/uml.mjs', ...flags, ...testFiles], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed, [code]] = await Promise.all([guest.stdout.setEncoding('utf8').toArray(), once(guest, 'close')])
  const { took, text } = splitReport(printed.join(''))
  return { code: code ?? 1, took, printed: text }
}

function flagsOf(concurrency, limitMs) {
  return ['--enable-source-maps', '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${limitMs}`]
}

function reporters(report) {
  const given = [['spec', 'stdout'], ...(report ? [[REPORTER, report]] : [])]
  return given.flatMap(([reporter, to]) => [`--test-reporter=${reporter}`, `--test-reporter-destination=${to}`])
}
