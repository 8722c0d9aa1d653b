import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ROOT, readPage } from './markdown.js'

/** Shorter ones would be found by chance. */
const TELLING = 10

/** All that the program can say, with what was cut into several strings in one piece. */
const source = ['src', 'native']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => [folder, file]),
  )
  .filter(([, file = '']) => /\.(ts|c|h)$/.test(file))
  .map((path) => readFileSync(join(ROOT, ...path), 'utf8'))
  .join('\n')
  .replace(/['"`]\s*\+\s*['"`]/g, '')
  .replaceAll("\\'", "'")

/** What the first column of a section's tables quotes. */
function quoted(section: string): string[] {
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  return rows.map((row) => /^\| `([^`]+)` \|/.exec(row)?.[1] ?? assert.fail(`no message in the first column: ${row}`))
}

/** The part of a message that the program does not say; undefined where it says all of it. */
function unsaid(message: string): string | undefined {
  // Where one string ends and another begins there is often a colon, and the source need not have it there.
  const parts = message.split('…').map((part) => part.replace(/^[\s:;,]+|[\s:;,]+$/g, ''))
  if (!parts.some((part) => part.length >= TELLING)) return `${message} (too short to be looked for)`
  return parts.find((part) => !source.includes(part))
}

describe('the messages that troubleshooting explains', () => {
  const { sections } = readPage('docs/operations.md')
  const tables = [...sections].slice([...sections.keys()].indexOf('Troubleshooting') + 1)

  for (const [title, section] of tables) {
    it(`are what the program says: ${title}`, () => {
      const messages = quoted(section)
      assert.ok(messages.length > 0)
      assert.deepEqual(
        messages.filter((message) => unsaid(message) !== undefined),
        [],
      )
    })
  }

  it('are at least fifty', () => {
    assert.ok(tables.flatMap(([, section]) => quoted(section)).length >= 50)
  })

  it('are told where nobody says them', () => {
    assert.equal(unsaid('store is away: writes wait for it'), undefined)
    assert.equal(unsaid('… is in use by process …'), undefined)
    assert.equal(unsaid('… is in use by program …'), 'is in use by program')
    assert.equal(unsaid('… is …'), '… is … (too short to be looked for)')
  })
})
