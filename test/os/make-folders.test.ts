import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { makeFolders } from '../../src/os/make-folders.js'

test('folders are made with those above them, where there are none yet', () => {
  const dir = makeTempDir('flux-folders-')
  for (const _ of [1, 2]) makeFolders(join(dir, 'a', 'b'), 0o700)
  assert.equal(statSync(join(dir, 'a', 'b')).mode & 0o777, 0o700)
  writeFileSync(join(dir, 'file'), '')
  assert.throws(() => makeFolders(join(dir, 'file', 'c')), { code: 'ENOTDIR' })
})

test('a file system that takes no folders is an error, not a wait', { skip: process.platform !== 'linux' }, () => {
  assert.throws(() => makeFolders('/proc/flux-agent/state'), { code: 'ENOENT' })
})
