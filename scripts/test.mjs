// Builds and tests.
//   npm test -- [part of a test file's path …] [--slowest [how many]] [--option of node --test …]
import { join, sep } from 'node:path'
import { build } from './build.mjs'
import { choose, thoseWithGuest } from './choice.mjs'
import { has, hasLoadLibraries, inCi, provide } from './machine.mjs'
import { runInGuest, runTests } from './node-test.mjs'
import { printFailed, printSlowest } from './results.mjs'
import { fetchRuntimes, NODE_OPTIONS, runtimeFolder } from './runtime.mjs'
import { files } from './stamps.mjs'

const TESTS = join('dist', 'test')
/** Latencies under load. */
const LOAD = join(TESTS, 'e2e', 'load.test.js')
/** Thousands of executions; in CI tens of thousands. */
const SOAK = join(TESTS, 'e2e', 'soak.test.js')
/** Soaks, and attacks on the sandbox: they find the same whatever Node the agent runs on. */
const ONCE = [SOAK, join(TESTS, 'e2e', 'survival-soak.test.js'), join(TESTS, 'e2e', 'separate', 'hostile.test.js')]
/** Most tests wait rather than compute, so more run at once than there are processors. */
const AT_ONCE = 6

build()
const all = files(TESTS, '.test.js').filter((file) => !isIn('packages', file))
const { chosen, options, slowest } = choose(all, process.argv.slice(2))
if (!has('redis-server')) console.log('redis-server is not installed: the tests that need it are skipped')
if (!has('nft', 'nftables') || !has('ip', 'iproute2'))
  console.log('nft or ip is not installed: the tests of the firewall are skipped')
if (!hasLoadLibraries())
  console.log('libnghttp2-dev or libssl-dev is not installed: the tests that need them are skipped')
// Large ones, whose tests are skipped without them.
if (inCi) for (const [tool, debianPackage] of [['promtool', 'prometheus'], ['chromium']]) provide(tool, debianPackage)
const ordinary = chosen.filter((file) => !isIn('kernel', file))
const inGuest = chosen.filter((file) => isIn('kernel', file))

const together = ordinary.filter((file) => !measures(file)).sort(byLength)
const alone = ordinary.filter(measures)
const results = []
const guest = thoseWithGuest(inGuest).then((files) => runInGuest(files, options))
results.push(await runTests(together, { concurrency: AT_ONCE, options, shared: true }))
if (inCi) results.push(await runOnPackagedNode(together, AT_ONCE))
const inside = await guest
process.stdout.write(inside.printed)
results.push(inside, await runTests(alone, { concurrency: 1, options }))
if (inCi) results.push(await runOnPackagedNode(alone, 1))
process.exitCode = results.find(({ code }) => code !== 0)?.code ?? 0
const tests = results.flatMap((result) => result.tests)
if (slowest !== undefined) printSlowest(tests, slowest)
printFailed(tests)

/** The end-to-end tests. */
async function runOnPackagedNode(testFiles, concurrency) {
  const endToEnd = testFiles.filter((file) => isIn('e2e', file) && !ONCE.includes(file))
  if (endToEnd.length === 0) return { code: 0, tests: [] }
  console.log('end-to-end tests once more, on the Node that the packages bring')
  fetchRuntimes()
  const node = join(runtimeFolder({ os: process.platform, cpu: process.arch }), 'bin', 'node')
  // As the packages' commands start the agent.
  const env = { AGENT_NODE_OPTIONS: NODE_OPTIONS.join(' ') }
  return runTests(endToEnd, { node, env, concurrency, options, shared: concurrency > 1 })
}

function isIn(folder, file) {
  return file.startsWith(join(TESTS, folder) + sep)
}

/** Whether it wants the machine for itself. */
function measures(file) {
  return file === LOAD || (file === SOAK && inCi)
}

/** Long files begin first, so that short ones fill the end. */
function byLength(one, other) {
  return rank(one) - rank(other)
}

function rank(file) {
  const first = ['documents', join('native', 'launcher', 'slow-starts'), 'e2e', 'chaos', 'cli', 'store', 'native']
  const found = first.findIndex((start) => file.startsWith(join(TESTS, start)))
  return found < 0 ? first.length : found
}
