import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildZip, link, type ZipEntry } from '../../harness/zip.js'
import { readEntries } from '../../src/archive/entries.js'
import { programPathProblem } from '../../src/archive/path-rules.js'
import { ArchiveRefused } from '../../src/archive/refused.js'
import { buildTree } from '../../src/archive/tree.js'

const limits = { maxEntries: 100, maxBytes: 1_000_000, maxRatio: 100 }

async function treeOn(platform: NodeJS.Platform, names: readonly string[]) {
  const entries = names.map((name): ZipEntry => ({ name }))
  return buildTree(readEntries(buildZip(entries), limits, platform).entries, limits, platform)
}

for (const name of [
  'file:stream',
  'a/b:$DATA',
  'con',
  'a/NUL.txt',
  'lpt¹',
  'COM0',
  'conin$',
  'CONOUT$.log',
  'com².tar.gz',
  'aux .txt',
  'a.',
  'a /b',
  'a?',
  'a*b',
  'a"b',
  'a|b',
  '<a',
  'a>',
]) {
  test(`${name} is no name on Windows, and one on Linux`, async () => {
    await assert.rejects(treeOn('win32', [name]), (error) => {
      assert.ok(error instanceof ArchiveRefused)
      assert.ok(error.message.startsWith(`entry ${JSON.stringify(name)} `), error.message)
      assert.match(error.message, /Windows/)
      return true
    })
    assert.equal((await treeOn('linux', [name])).files[0]?.path, name)
  })
}

for (const name of ['console', 'nul1', 'a.b', '.hidden', 'com10', 'a b']) {
  test(`${name} is a name on Windows`, async () => {
    assert.equal((await treeOn('win32', [name])).files[0]?.path, name)
  })
}

test('names that differ in case alone are one file on Windows and two on Linux', async () => {
  for (const names of [
    ['README', 'readme'],
    ['lib/x', 'LIB'],
    ['lib/x', 'LIB/X'],
    ['lib', 'LIB/x'],
    ['ΣΑΣ', 'σας'],
  ]) {
    await assert.rejects(treeOn('win32', names), {
      name: 'ArchiveRefused',
      message: new RegExp(`^entry "${names[1]}" (has the same name as|lies below)`),
    })
    assert.equal((await treeOn('linux', names)).files.length, 2)
  }
  assert.equal((await treeOn('win32', ['straße', 'STRASSE'])).files.length, 2)
  const tree = await treeOn('win32', ['lib/x', 'LIB/y'])
  assert.equal(tree.folders.length, 1)
})

test('a symbolic link is refused on Windows', () => {
  const archive = buildZip([{ name: 'a' }, link('b', 'a')])
  assert.throws(() => readEntries(archive, limits, 'win32'), {
    name: 'ArchiveRefused',
    message: /^entry "b" is a symbolic link, which Windows/,
  })
  assert.equal(readEntries(archive, limits, 'linux').entries.length, 2)
})

test('Windows starts no program from a path longer than MAX_PATH', () => {
  assert.equal(programPathProblem('x'.repeat(259), 'win32'), undefined)
  assert.match(programPathProblem('x'.repeat(260), 'win32') ?? '', /260 characters.*at most 259/)
  assert.equal(programPathProblem('x'.repeat(260), 'linux'), undefined)
})
