// Runs test files in this one process: in a guest, each process takes seconds to start.
//   node scripts/import-each.mjs FILE …
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

for (const file of process.argv.slice(2)) {
  await import(pathToFileURL(file)).catch((error) =>
    test(file, () => {
      throw error
    }),
  )
}
