import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, chmodSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { type Entry, fromBufferPromise } from 'yauzl'
import { makeTempDir } from '../../../harness/agent.js'
import { type CodeArchive, readCode } from '../../../src/cli/deploy/archive.js'
import type { Selection } from '../../../src/cli/deploy/code-folder.js'

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

test('what macOS keeps for itself is not sent', { skip: process.platform === 'win32' }, async () => {
  const dir = makeCode()
  mkdirSync(join(dir, '__MACOSX'))
  for (const name of ['Icon\r', '.DS_Store', 'lib/.DS_Store', '._main.sh', '__MACOSX/._main.sh', '._other']) {
    writeFileSync(join(dir, name), '')
  }
  const entries = await unzip((await read(dir)).zip)
  assert.deepEqual([...entries.keys()], ['._other', 'empty/', 'lib/data.txt', 'link', 'main.sh', 'nothing'])
})

test('the same code is the same archive; its times are part of it', async () => {
  const dir = makeCode()
  const before = await read(dir)
  assert.ok((await read(dir)).zip.equals(before.zip))
  utimesSync(join(dir, 'main.sh'), 1_600_000_001, 1_600_000_001)
  const touched = await read(dir)
  assert.ok(!touched.zip.equals(before.zip))
  const times = new Map<string, number>()
  for await (const entry of (await fromBufferPromise(touched.zip)).eachEntry())
    times.set(entry.fileName, entry.getLastModDate().getTime() / 1000)
  assert.equal(times.get('main.sh'), 1_600_000_001)
  utimesSync(join(dir, 'main.sh'), -1, -1)
  await read(dir)
})

test('a zip is sent as it is, and its executable files are known', async () => {
  const { zip, files } = await read(makeCode())
  const path = join(makeTempDir('flux-agent-code-'), 'code.zip')
  writeFileSync(path, zip)
  const again = await read(path)
  assert.ok(again.zip.equals(zip))
  assert.deepEqual(again.files, files)
  assert.deepEqual(
    files?.filter(({ executable }) => executable).map((file) => file.path),
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
  const folder = (name: string) => {
    const path = join(dir, name)
    mkdirSync(path)
    writeFileSync(join(path, 'main.sh'), '', { mode: 0o755 })
    return path
  }
  const fails = (path: string, message: string, selection?: Selection) =>
    assert.rejects(
      readCode(path, () => {}, selection),
      { name: 'CommandFailure', message },
    )

  await t.test('no such path', () =>
    assert.rejects(read(join(dir, 'none')), /cannot read .*none: there is no such file or folder$/),
  )
  await t.test('an empty folder', () => assert.rejects(read(dir), /is empty: it has no file that could be run$/))
  await t.test('a device', () => fails('/dev/null', '/dev/null is neither a folder nor a zip file'))
  await t.test('a FIFO', () => {
    const inner = folder('fifo')
    execFileSync('mkfifo', [join(inner, 'pipe')])
    return fails(
      inner,
      `${inner}/pipe is a FIFO; only files, folders and symbolic links can be sent: leave it out by --exclude pipe`,
    )
  })
  await t.test('a socket', async () => {
    const inner = folder('socket')
    const server = createServer().listen(join(inner, 's'))
    await once(server, 'listening')
    await assert.rejects(read(inner), /\/s is a socket; only .* leave it out by --exclude s$/)
    assert.equal((await readCode(inner, () => {}, { exclude: ['./s'], dereference: false })).files?.length, 1)
    server.close()
  })
  await t.test('code over the message limit', () => {
    const inner = folder('large')
    mkdirSync(join(inner, 'data'))
    writeFileSync(join(inner, 'data', 'blob'), randomBytes(51 * 1024 * 1024))
    return fails(
      inner,
      `${inner} is too large: its archive is over 49.9 MiB, and one message holds no more; leave out by --exclude what it does not need, of data/blob (51.0 MiB), main.sh (0 B) first`,
    )
  })
  await t.test('a file and a folder that may not be read', { skip: process.getuid?.() !== 0 }, async () => {
    const inner = folder('closed')
    chmodSync(dir, 0o755)
    writeFileSync(join(inner, 'key.pem'), '', { mode: 0o600 })
    mkdirSync(join(inner, 'lib'), { mode: 0o700 })
    process.seteuid?.(65534)
    try {
      await fails(
        inner,
        `cannot read ${inner}/lib (permission denied): make it readable for you, or leave it out by --exclude lib`,
      )
      await fails(
        inner,
        `cannot read ${inner}/key.pem (permission denied): make it readable for you, or leave it out by --exclude key.pem`,
        { exclude: ['lib/'], dereference: false },
      )
    } finally {
      process.seteuid?.(0)
    }
  })
  await t.test('a name that is not UTF-8', () => {
    const inner = folder('latin1')
    writeFileSync(Buffer.concat([Buffer.from(`${inner}/caf`), Buffer.from([0xe9])]), '')
    return assert.rejects(
      read(inner),
      /latin1\/caf\\xe9: its name is not UTF-8 \(it could be "café" in windows-1252.*; rename it$/,
    )
  })
  await t.test('names that the zip library changes', async () => {
    const way = 'rename it, leave it out by --exclude, or deploy a zip made by zip(1)'
    const backslash = folder('backslash')
    writeFileSync(join(backslash, 'dev-disk-by\\x2duuid.swap'), '')
    await fails(
      backslash,
      `${backslash}/dev-disk-by\\x2duuid.swap has a backslash in its name, which this command cannot send: ${way}`,
    )
    const colon = folder('colon')
    writeFileSync(join(colon, 'c:x'), '')
    await fails(colon, `${colon}/c:x begins like a drive of Windows, which this command cannot send: ${way}`)
    writeFileSync(join(folder('other colon'), '12:30.log'), '')
    assert.equal((await read(join(dir, 'other colon'))).files?.length, 2)
  })
})

test('files that change while they are read', async (t) => {
  const cases: Record<string, readonly [(path: string) => void, RegExp]> = {
    'one that grows': [
      (path) => appendFileSync(path, 'more'),
      /z\.log changes while it is read: stop what writes to it, or leave it out by --exclude z\.log$/,
    ],
    'one that shrinks': [(path) => writeFileSync(path, 'x'), /z\.log changes while it is read/],
    'one that is written again': [(path) => writeFileSync(path, 'abcd'), /z\.log changes while it is read/],
    'one that vanishes': [
      (path) => rmSync(path),
      /z\.log has vanished, or is a link to nothing: deploy again, or leave it out by --exclude z\.log$/,
    ],
  }
  for (const [name, [change, message]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const dir = makeCode()
      const log = join(dir, 'z.log')
      writeFileSync(log, 'text')
      utimesSync(log, 1, 1)
      // The first progress comes when all has been listed, and before the last file is opened.
      let changed = false
      const work = readCode(dir, () => {
        if (!changed) change(log)
        changed = true
      })
      await assert.rejects(work, message)
    })
  }
})

test('links that lead out of the folder', async (t) => {
  const outside = makeTempDir('flux-agent-outside-')
  writeFileSync(join(outside, 'python3'), 'program', { mode: 0o755 })
  mkdirSync(join(outside, 'lib'))
  writeFileSync(join(outside, 'lib', 'x'), 'library')
  symlinkSync('x', join(outside, 'lib', 'y'))
  const dir = makeTempDir('flux-agent-code-')
  mkdirSync(join(dir, 'bin'))
  writeFileSync(join(dir, 'main.sh'), '')
  symlinkSync('python3', join(dir, 'bin', 'python'))
  const follow = { exclude: [], dereference: true }

  for (const target of [join(outside, 'python3'), `../../${basename(outside)}/python3`]) {
    await t.test(target, async () => {
      rmSync(join(dir, 'bin', 'python3'), { force: true })
      symlinkSync(target, join(dir, 'bin', 'python3'))
      await assert.rejects(
        read(dir),
        new RegExp(
          `/bin/python3 is a symbolic link to ${target}, which leads out of the folder: --dereference sends what such links lead to, --exclude bin/python3 leaves it out$`,
        ),
      )
      const { zip } = await readCode(dir, () => {}, follow)
      const entries = await unzip(zip)
      assert.deepEqual(entries.get('bin/python3'), { mode: 0o100755, content: 'program' })
      assert.deepEqual(entries.get('bin/python'), { mode: 0o120777, content: 'python3' })
    })
  }
  await t.test('to a folder', async () => {
    symlinkSync(join(outside, 'lib'), join(dir, 'lib'))
    const entries = await unzip((await readCode(dir, () => {}, follow)).zip)
    assert.deepEqual(entries.get('lib/x')?.content, 'library')
    assert.deepEqual(entries.get('lib/y'), { mode: 0o100644, content: 'library' })
  })
  await t.test('to a folder around it', async () => {
    symlinkSync('/', join(dir, 'root'))
    await assert.rejects(
      readCode(dir, () => {}, follow),
      /root leads to a folder around it: leave it out by --exclude root$/,
    )
    rmSync(join(dir, 'root'))
  })
  await t.test('to nothing', async () => {
    symlinkSync('/nowhere/at/all', join(dir, 'nothing'))
    await assert.rejects(
      readCode(dir, () => {}, follow),
      /nothing has vanished, or is a link to nothing/,
    )
  })
})

test("an agent's own state is left out", async (t) => {
  const dir = makeCode()
  mkdirSync(join(dir, '.flux-agent', 'writes'), { recursive: true })
  mkdirSync(join(dir, 'lib', 'state'))
  writeFileSync(join(dir, 'lib', 'state', 'format.json'), '{"format":1,"version":"0.1.0"}\n')
  writeFileSync(join(dir, 'lib', 'format.json'), '{"format":"ours"}\n')
  const { files, leftOut } = await read(dir)
  assert.deepEqual(leftOut, ['.flux-agent', 'lib/state'])
  assert.deepEqual(
    files?.map(({ path }) => path),
    ['lib/data.txt', 'lib/format.json', 'link', 'main.sh', 'nothing'],
  )
  await t.test('and is no code itself', () =>
    assert.rejects(read(join(dir, 'lib', 'state')), /state is where an agent keeps its state, and no code$/),
  )
})

test('a zip that only the agent can judge is sent as it is', async () => {
  const file = join(makeTempDir('flux-agent-code-'), 'text.zip')
  writeFileSync(file, 'no zip at all, but long enough to be looked at')
  const { zip, files } = await read(file)
  assert.equal(zip.toString(), 'no zip at all, but long enough to be looked at')
  assert.equal(files, undefined)
})
