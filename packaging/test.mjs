// Builds the packages and tries them where they are meant to run, or as near to that as this machine comes. Needs a build.
//   npm run test:packages -- [part of a test file's path …] [--slowest [how many]] [--option of node --test …]
import { join } from 'node:path'
import { choose, thoseWithGuest } from '../scripts/choice.mjs'
import { has } from '../scripts/machine.mjs'
import { runTests } from '../scripts/node-test.mjs'
import { printFailed, printSlowest } from '../scripts/results.mjs'
import { run } from '../scripts/run.mjs'
import { files } from '../scripts/stamps.mjs'
import { missingTools } from './deb.mjs'

const TESTS = join('dist', 'test', 'packages')
/** What boots a whole system in a guest. */
const SYSTEMD_TESTS = join(TESTS, 'systemd')
/** Guests, which take longest and have one processor each, and one beside them. */
const AT_ONCE = 3
/** What tests need besides what packages are built with, and the Debian packages that have it. */
const TOOLS = {
  ...{ lintian: 'lintian', debootstrap: 'debootstrap', ip: 'iproute2', man: 'man-db' },
  'qemu-aarch64-static': 'qemu-user-static',
  buildah: 'buildah',
}

const { chosen, options, slowest } = choose(files(TESTS, '.test.js'), process.argv.slice(2))
const missing = new Set(['amd64', 'arm64'].flatMap(missingTools))
if (missing.size > 0) console.log(`skipped, because ${[...missing].join(', ')} is not installed: ${chosen.join(' ')}`)
else await test()

async function test() {
  for (const [program, debianPackage] of Object.entries(TOOLS)) {
    if (!has(program, debianPackage)) console.log(`${program} is not installed: the tests that need it are skipped`)
  }
  run(process.execPath, ['packaging/build.mjs'])
  const inGuest = await thoseWithGuest(chosen.filter((file) => file.startsWith(SYSTEMD_TESTS)))
  const others = chosen.filter((file) => !file.startsWith(SYSTEMD_TESTS))
  const { code, tests } = await runTests([...inGuest, ...others], { concurrency: AT_ONCE, options })
  process.exitCode = code
  if (slowest !== undefined) printSlowest(tests, slowest)
  printFailed(tests)
}
