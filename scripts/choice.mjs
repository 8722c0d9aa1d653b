// Chooses tests by the command line, and node's options.
import { whyNoGuest } from './guests.mjs'
import { fail } from './run.mjs'

const SLOWEST = /^--slowest(?:=(\d+))?$/

/**
 * `chosen`: files whose paths contain one of the given parts. `slowest`: how many of the slowest to print, if asked.
 * `options`: options for node.
 */
export function choose(all, args) {
  const asked = args.findIndex((arg) => SLOWEST.test(arg))
  const rest = [...args]
  let slowest
  if (asked >= 0) {
    const [, given] = SLOWEST.exec(args[asked])
    const follows = given === undefined && /^\d+$/.test(args[asked + 1] ?? '')
    slowest = Number(given ?? (follows ? args[asked + 1] : 10))
    rest.splice(asked, follows ? 2 : 1)
  }
  const filters = rest.filter((arg) => !arg.startsWith('-'))
  const options = rest.filter((arg) => arg.startsWith('-'))
  const chosen = all.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  if (chosen.length === 0) fail(`no test file's path has ${filters.join(' or ')} in it`)
  return { chosen, options, slowest }
}

/** Of files that need a guest those that can run: none where no guest boots, which is said. */
export async function thoseWithGuest(testFiles) {
  const reason = testFiles.length > 0 ? await whyNoGuest() : undefined
  if (reason === undefined) return testFiles
  // In CI, too: the machine is unable, and the other tests still count.
  console.log(`skipped, because ${reason}: ${testFiles.join(' ')}`)
  return []
}
