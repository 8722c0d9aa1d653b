// A reporter of node --test, which writes down what became of each test, and what is printed of that at the end.
import { relative } from 'node:path'

const MARK = '\u0001result '
/** Characters of a failure's message. */
const FAILURE_MAX = 2_000
const TESTS = /^(?:dist\/)?test\//
const TEST_FILE = /\.test\.[jt]s$/

/** One line for each test: file, name with those of its suites, milliseconds, and why it failed. */
export default async function* report(events) {
  const names = []
  let fileInside
  for await (const { type, data } of events) {
    if (type === 'test:start') names[data.nesting] = data.name
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const { nesting, details } = data
    const isSuite = details.type === 'suite'
    // A suite may be made by another file than the one that has its tests.
    const file = (isSuite && fileInside) || (data.file ?? data.name)
    fileInside = nesting === 0 ? undefined : file
    const suites = [...names.slice(0, nesting), data.name]
    // Where files share a process, each is a suite.
    const name = suites.slice(suites.length > 1 && TEST_FILE.test(suites[0]) ? 1 : 0).join(' › ')
    const failed = type === 'test:fail' && !data.todo && messageOf(details.error)
    const result = { file, name, nesting, isSuite, ms: details.duration_ms, ...(failed && { failed }) }
    yield `${MARK}${JSON.stringify(result)}\n`
  }
}

/** What the test itself threw, where the runner has wrapped it. */
function messageOf(error) {
  const thrown = error.cause ?? error
  return String(thrown.message ?? thrown)
}

/** Separates the reporter's lines from other output. */
export function splitReport(printed) {
  const lines = printed.split('\n')
  return {
    tests: lines.filter((line) => line.startsWith(MARK)).map((line) => JSON.parse(line.slice(MARK.length))),
    text: lines.filter((line) => !line.startsWith(MARK)).join('\n'),
  }
}

/** So that the end of a long output tells what to look at. */
export function printFailed(results) {
  const failed = results.filter((result) => result.failed !== undefined && !isTold(result.failed))
  if (failed.length === 0) return
  console.log('\nfailed tests')
  for (const { file, name, failed: message } of failed) {
    console.log(`  ${pathOf(file)}: ${name}\n${message.slice(0, FAILURE_MAX).replace(/^/gm, '    ')}`)
  }
}

/** Of a suite, whose tests are told themselves. */
function isTold(message) {
  return /^\d+ subtests? failed$/.test(message)
}

/** As a command line could choose it. */
function pathOf(file) {
  return relative('.', file).replace(TESTS, '').replace(TEST_FILE, '')
}

/** A file's time is the sum of its tests', which run one after the other. */
export function printSlowest(results, count) {
  const files = new Map()
  const tests = new Map()
  for (const { file, name, nesting, isSuite, ms } of results) {
    const path = pathOf(file)
    if (nesting === 0) files.set(path, (files.get(path) ?? 0) + ms)
    if (!isSuite) tests.set(`${path}: ${name}`, ms)
  }
  print('slowest files', files, count)
  print('slowest tests', tests, count)
}

function print(title, times, count) {
  console.log(`\n${title}`)
  const slowest = [...times].sort(([, one], [, other]) => other - one).slice(0, count)
  for (const [name, ms] of slowest) console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${name}`)
}
