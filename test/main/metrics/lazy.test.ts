import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const BUNDLE = fileURLToPath(new URL('../../../agent/', import.meta.url))
/** Code that only metrics need: the table, what counts, what formats. */
const METRICS = /execution_start_failures_total|class ExecutionCounts|getMetricsAsString/

/** The files that are loaded with one of them, as its static imports say. */
function loadedWith(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found
  found.add(name)
  const source = readFileSync(join(BUNDLE, name), 'utf8')
  for (const [, path = ''] of source.matchAll(/^(?:import|export|\}).*?["']\.{1,2}\/([\w./-]+\.js)["'];?$/gm))
    loadedWith(basename(path), found)
  return found
}

describe('the code for metrics', () => {
  it('is in the bundle, and not loaded by an agent that serves none', () => {
    const files = readdirSync(BUNDLE).filter((name) => name.endsWith('.js'))
    const needing = files.filter((name) => METRICS.test(readFileSync(join(BUNDLE, name), 'utf8')))
    assert.ok(needing.length > 0)
    const start = files.find((name) => name.startsWith('start-')) ?? assert.fail('the bundle has no start')
    const loaded = loadedWith(start)
    assert.ok(loaded.size > 3)
    assert.deepEqual(
      needing.filter((name) => loaded.has(name)),
      [],
    )
  })
})
