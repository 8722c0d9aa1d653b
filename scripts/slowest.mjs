// A reporter of node --test, which writes down how long each test took, and what is printed of that.
import { relative } from 'node:path'

const MARK = '\u0001took '
const TEST_FILE = /\.test\.[jt]s$/

/** One line for each test: file, name with those of its suites, and milliseconds. */
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
    const took = { file, name, nesting, isSuite, ms: details.duration_ms }
    yield `${MARK}${JSON.stringify(took)}\n`
  }
}

/** Separates the reporter's lines from other output. */
export function splitReport(printed) {
  const lines = printed.split('\n')
  return {
    took: lines.filter((line) => line.startsWith(MARK)).map((line) => JSON.parse(line.slice(MARK.length))),
    text: lines.filter((line) => !line.startsWith(MARK)).join('\n'),
  }
}

/** A file's time is the sum of its tests', which run one after the other. */
export function printSlowest(took, count) {
  const files = new Map()
  const tests = new Map()
  for (const { file, name, nesting, isSuite, ms } of took) {
    // As a command line could choose it.
    const path = relative('test', file).replace(TEST_FILE, '')
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
