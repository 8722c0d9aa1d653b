import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { Flusher } from '../../../src/workers/deploy/flusher.js'
import { isWindows } from './deploy-fixture.js'

test('callers of one moment share a flush, and those that come while it runs get the next', {
  skip: isWindows,
}, async () => {
  const dir = makeTempDir('flux-flush-')
  const flusher = new Flusher()
  const folders = ['a', 'b', 'c'].map((name) => join(dir, name))
  for (const folder of folders) mkdirSync(folder)
  const [first, second] = folders.map((folder) => flusher.flush([folder, dir]))
  assert.equal(first, second)
  let later: Promise<void> | undefined
  await Promise.all([
    first,
    Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => (later = flusher.flush(folders))),
  ])
  assert.notEqual(later, first)
  await later
})

test('a folder that cannot be flushed fails its own callers, not those after them', { skip: isWindows }, async () => {
  const dir = makeTempDir('flux-flush-')
  const flusher = new Flusher()
  const failed = flusher.flush([join(dir, 'missing')])
  await assert.rejects(failed, { code: 'ENOENT' })
  await flusher.flush([dir])
})
