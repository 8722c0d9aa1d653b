import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildZip, FOLDER, link, PROGRAM } from '../support/zip.js'
import { deploy, makeApps, snapshot } from './deploy-fixture.js'

const expected: Record<string, string> = {
  'run.sh': '#!/bin/sh\necho run\n',
  lib: 'folder',
  'lib/data': 'data '.repeat(50),
  'lib/stored': 'as it is',
  'lib/link': '-> data',
  empty: 'folder',
}

const archive = buildZip(
  [
    { name: 'run.sh', contents: expected['run.sh'] ?? '', mode: PROGRAM },
    { name: 'lib/', mode: FOLDER },
    { name: 'lib/data', contents: expected['lib/data'] ?? '' },
    { name: 'lib/stored', contents: 'as it is', stored: true },
    link('lib/link', 'data'),
    { name: 'empty/', mode: FOLDER },
  ],
  { comment: Buffer.from('comment') },
)

/** Numbers below a bound, the same in every run. */
function numbers(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}

function mutate(next: (bound: number) => number): Buffer {
  const bytes = Buffer.from(archive)
  const at = next(bytes.length)
  const length = 1 + next(40)
  switch (next(6)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - length))])
    case 3:
      bytes.copy(bytes, next(bytes.length), at, at + length)
      return bytes
    default:
      for (let flips = 1 + next(3); flips > 0; flips--) {
        const index = next(bytes.length)
        bytes[index] = (bytes[index] ?? 0) ^ (1 << next(8))
      }
      return bytes
  }
}

/** A flipped bit of a mode may turn a link into a file or back, with the same bytes; nothing else may differ. */
function bytesOf(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).map(([name, contents]) => [name, contents.replace(/^-> /, '')]))
}

test('a damaged archive is refused, or deployed exactly as it was', async (t) => {
  const apps = await makeApps(t)
  const good = buildZip([{ name: 'run.sh', contents: 'good' }])
  await apps.deployed(good)
  const before = await snapshot(apps.root)
  const outside = Object.entries(before).filter(([name]) => !name.startsWith('apps/'))
  const counts = { deployed: 0, refused: 0 }
  for (let seed = 1; seed <= 1500; seed++) {
    const damaged = mutate(numbers(seed))
    const result = await deploy(apps.task(damaged, { functionName: `fuzz${seed}` }))
    if (result.kind === 'deployed') {
      counts.deployed++
      assert.deepEqual(bytesOf(await snapshot(result.version.dir)), bytesOf(expected), `seed ${seed}`)
    } else {
      counts.refused++
      assert.equal(result.kind, 'refused', `seed ${seed}`)
    }
  }
  const after = await snapshot(apps.root)
  assert.deepEqual(
    Object.entries(after).filter(([name]) => !name.startsWith('apps/')),
    outside,
  )
  for (const [name, contents] of Object.entries(before)) assert.equal(after[name], contents)
  const folders = Object.keys(after).filter((name) => /^apps\/fuzz\d+$/.test(name))
  assert.equal(folders.length, counts.deployed, 'a refused archive left a folder')
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.deployed > 50 && counts.refused > 500, JSON.stringify(counts))
})
