// Runs test files in one process, each as a suite, whose hooks are its own. A process of its own takes each file 0.3 s of
// processor for what most tests import, and seconds in a guest.
//   node scripts/import-each.mjs FILE …
import { describe } from 'node:test'
import { pathToFileURL } from 'node:url'

if (process.argv[1] === import.meta.filename) await importEach(process.argv.slice(2))

/** One after the other: a module that awaits while it loads goes on in the suite of the file that loads it first. */
export async function importEach(testFiles) {
  for (const file of testFiles)
    await new Promise((loaded) => describe(file, () => import(pathToFileURL(file)).finally(loaded)))
}
