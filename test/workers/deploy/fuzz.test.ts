import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildZip, FOLDER, link, PROGRAM } from '../../../harness/zip.js'
import { deploy, makeApps, snapshot } from './deploy-fixture.js'

const SEEDS = process.env['CI'] ? 1_500 : 600

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

/** The ways in which it may come. */
const shapes = [
  archive,
  Buffer.concat([Buffer.from('#!/usr/bin/env python3\n'), archive, Buffer.from('\r\n')]),
  Buffer.concat([
    Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="x.zip"\r\n\r\n'),
    archive,
    Buffer.from('\r\n--b--\r\n'),
  ]),
]

/** Numbers below a bound, the same in every run. */
function numbers(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}

function mutate(whole: Buffer, next: (bound: number) => number): Buffer {
  const bytes = Buffer.from(whole)
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
  for (let seed = 1; seed <= SEEDS; seed++) {
    const damaged = mutate(shapes[seed % shapes.length] ?? archive, numbers(seed))
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
  assert.ok(counts.deployed > SEEDS / 30 && counts.refused > SEEDS / 3, JSON.stringify(counts))
})

/** Entries, directory and end record. */
function parts(zip: Buffer): Buffer[] {
  const [directory, end] = [zip.indexOf('PK\x01\x02'), zip.lastIndexOf('PK\x05\x06')]
  return [zip.subarray(0, directory), zip.subarray(directory, end), zip.subarray(end)]
}

const inner = buildZip([{ name: 'run.sh', contents: 'inner' }])
const zip64 = { count: 0xffff, directorySize: 0xffffffff, directoryStart: 0xffffffff, zip64: {} }
const originals = [
  buildZip([{ name: 'run.sh', contents: 'one' }]),
  buildZip([{ name: 'run.sh', contents: 'two' }, { name: 'b' }]),
  buildZip([
    { name: 'run.sh', contents: 'three' },
    { name: 'x.jar', contents: inner, stored: true },
  ]),
  buildZip([{ name: 'run.sh', contents: 'four' }, { name: 'd' }], zip64),
]
const others = ['#!/bin/sh\n', '\r\n', 'PK\x05\x06', 'xx'].map((text) => Buffer.from(text, 'latin1'))

/** Archives and parts of them one behind another, their end records and offsets changed to what may fit. */
function joined(next: (bound: number) => number): Buffer {
  const pick = <T>(values: readonly T[]) => values[next(values.length)] as T
  const pieces = Array.from({ length: 1 + next(4) }, () => {
    const kind = next(10)
    if (kind < 5) return pick(originals)
    return kind < 8 ? pick(parts(pick(originals))) : pick(others)
  })
  const starts = pieces.map((_, index) => Buffer.concat(pieces.slice(0, index)).length)
  const bytes = Buffer.concat(pieces)
  const change = (at: number, by: number) => bytes.writeUInt32LE((bytes.readUInt32LE(at) + by) >>> 0, at)
  for (let end = bytes.indexOf('PK\x05\x06'); end !== -1; end = bytes.indexOf('PK\x05\x06', end + 1)) {
    if (end + 22 > bytes.length) break
    const kind = next(6)
    if (kind === 0) bytes.writeUInt16LE(bytes.length - end - 22, end + 20)
    else if (kind === 1) change(end + 16, pick(starts))
    else if (kind === 2) {
      const start = pick(starts)
      change(end + 16, start)
      for (let at = bytes.indexOf('PK\x01\x02'); at !== -1; at = bytes.indexOf('PK\x01\x02', at + 1)) {
        if (at + 46 <= bytes.length && next(2) === 0) change(at + 42, start)
      }
    }
  }
  return bytes
}

/** What Python reads of each archive in a folder, or undefined where it refuses. */
const ORACLE = `
import json, os, sys, zipfile
read = {}
for name in os.listdir('.'):
    try:
        archive = zipfile.ZipFile(name)
        read[name] = {each: archive.read(each).decode('latin-1') for each in archive.namelist()}
    except Exception:
        pass
print(json.dumps(read))
`

test('of archives joined at random one is deployed, and the one that other readers see; or none', async (t) => {
  const apps = await makeApps(t)
  const accepted = join(apps.root, 'accepted')
  await mkdir(accepted)
  const seen: Record<string, Record<string, string>> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    const bytes = joined(numbers(seed))
    const result = await deploy(apps.task(bytes))
    if (result.kind === 'refused') continue
    seen[seed] = await snapshot(result.version.dir)
    await writeFile(join(accepted, `${seed}`), bytes)
  }
  t.diagnostic(`${Object.keys(seen).length} deployed`)
  assert.ok(Object.keys(seen).length > SEEDS / 8)
  const { status, stdout } = spawnSync('python3', ['-c', ORACLE], { cwd: accepted, maxBuffer: 2 ** 30 })
  if (status !== 0) return t.skip('Python is not installed')
  const read: typeof seen = JSON.parse(stdout.toString())
  for (const [seed, contents] of Object.entries(read)) assert.deepEqual(seen[seed], contents, `seed ${seed}`)
  assert.ok(Object.keys(read).length > SEEDS / 10)
})
