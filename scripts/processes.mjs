// Which test files run in one process.
import { writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'

const TESTS = join('dist', 'test')
const FILES_IN_ONE = 4
/** They count what their own process holds, or take a minute. */
const APART = [
  'os/linux/starters',
  'os/linux/start-turns',
  'os/linux/launcher/launcher-starter',
  'ids/number-set',
  'documents/clone',
  'e2e/connections',
  'native/launcher/slow-starts',
].map((path) => join(TESTS, ...`${path}.test.js`.split('/')))

/** The files of each process. Neighbours of one folder of test/ share one, in the order given. */
export function inProcesses(testFiles) {
  const processes = []
  const latest = new Map()
  for (const file of testFiles) {
    const apart = APART.includes(file)
    const folder = file.split(sep)[2]
    const shared = latest.get(folder)
    if (!apart && shared?.length < FILES_IN_ONE) {
      shared.push(file)
      continue
    }
    const own = [file]
    processes.push(own)
    if (!apart) latest.set(folder, own)
  }
  return processes
}

/** The file that a process runs; where there are several, one in `dir` that imports them. */
export function entryOf(testFiles, dir) {
  const [first, ...more] = testFiles
  if (more.length === 0) return first
  const name = first.split(sep).slice(2).join('-').replace('.test.js', '')
  const entry = join(dir, `${name}-and-${more.length}-more.mjs`)
  const script = pathToFileURL(join(import.meta.dirname, 'import-each.mjs'))
  writeFileSync(entry, `import { importEach } from '${script}'\nawait importEach(${JSON.stringify(testFiles)})\n`)
  return entry
}
