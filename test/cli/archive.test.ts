import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { type Entry, fromBufferPromise } from 'yauzl'
import { type CodeArchive, readCode } from '../../src/cli/archive.js'
import { makeTempDir } from '../support/agent.js'

const read = (path: string): Promise<CodeArchive> => readCode(path, () => {})

async function unzip(zip: Buffer): Promise<Map<string, { mode: number; content: string }>> {
  const entries = new Map<string, { mode: number; content: string }>()
  const file = await fromBufferPromise(zip, { autoClose: false })
  for await (const entry of file.eachEntry() as AsyncIterable<Entry>) {
    const content = await text(await file.openReadStreamPromise(entry))
    entries.set(entry.fileName, { mode: entry.externalFileAttributes >>> 16, content })
  }
  return entries
}

function makeCode(): string {
  const dir = makeTempDir('flux-agent-code-')
  mkdirSync(join(dir, 'lib'))
  mkdirSync(join(dir, 'empty'))
  writeFileSync(join(dir, 'main.sh'), '#!/bin/sh\n', { mode: 0o755 })
  writeFileSync(join(dir, 'lib', 'data.txt'), 'data', { mode: 0o640 })
  writeFileSync(join(dir, 'nothing'), '')
  symlinkSync('lib/data.txt', join(dir, 'link'))
  return dir
}

test('a folder is zipped with modes, symbolic links and empty folders', async () => {
  const dir = makeCode()
  chmodSync(join(dir, 'lib', 'data.txt'), 0o640)
  const entries = await unzip((await read(dir)).zip)
  assert.deepEqual([...entries.keys()], ['empty/', 'lib/data.txt', 'link', 'main.sh', 'nothing'])
  assert.equal(entries.get('main.sh')?.mode, 0o100755)
  assert.deepEqual(entries.get('lib/data.txt'), { mode: 0o100640, content: 'data' })
  assert.deepEqual(entries.get('link'), { mode: 0o120777, content: 'lib/data.txt' })
  assert.equal(entries.get('nothing')?.content, '')
})

test('the same code is the same archive, whatever its dates', async () => {
  const dir = makeCode()
  const before = await read(dir)
  utimesSync(join(dir, 'main.sh'), 1, 1)
  assert.ok((await read(dir)).zip.equals(before.zip))
  writeFileSync(join(dir, 'main.sh'), '#!/bin/sh\necho\n')
  assert.ok(!(await read(dir)).zip.equals(before.zip))
})

test('a zip is sent as it is, and its executable files are known', async () => {
  const { zip, files } = await read(makeCode())
  const path = join(makeTempDir('flux-agent-code-'), 'code.zip')
  writeFileSync(path, zip)
  const again = await read(path)
  assert.ok(again.zip.equals(zip))
  assert.deepEqual(again.files, files)
  assert.deepEqual(
    files.filter(({ executable }) => executable).map((file) => file.path),
    ['main.sh'],
  )
})

test('progress ends at the size of all files', async () => {
  const dir = makeTempDir('flux-agent-code-')
  writeFileSync(join(dir, 'a'), randomBytes(300_000))
  writeFileSync(join(dir, 'b'), randomBytes(200_000))
  let last: [number, number] | undefined
  await readCode(dir, (...state) => {
    last = state
  })
  assert.deepEqual(last, [500_000, 500_000])
})

test('what cannot be sent is refused with a reason', async (t) => {
  const dir = makeTempDir('flux-agent-code-')
  await t.test('no such path', () => assert.rejects(read(join(dir, 'none')), /cannot read .*none: ENOENT/))
  await t.test('an empty folder', () => assert.rejects(read(dir), /is empty/))
  await t.test('a file that is no zip', () => {
    const file = join(dir, 'text.zip')
    writeFileSync(file, 'no zip at all, but long enough to be looked at')
    return assert.rejects(read(file), /text\.zip is neither a folder nor a readable zip file/)
  })
  await t.test('a FIFO', () => {
    const inner = join(dir, 'fifo')
    mkdirSync(inner)
    execFileSync('mkfifo', [join(inner, 'pipe')])
    return assert.rejects(read(inner), /pipe is neither a file, a folder nor a symbolic link/)
  })
  await t.test('code over the message limit', () => {
    const inner = join(dir, 'large')
    mkdirSync(inner)
    writeFileSync(join(inner, 'blob'), randomBytes(51 * 1024 * 1024))
    return assert.rejects(read(inner), /large is too large: its archive is over 49\.9 MiB/)
  })
})
