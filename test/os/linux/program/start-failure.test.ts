import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir } from '../../../../harness/agent.js'
import { platform } from '../../../../src/os/index.js'
import { readHead } from '../../../../src/os/linux/program/probe.js'
import type { ProcessStarter, StartFailure, StartRequest } from '../../../../src/os/platform.js'
import { helper, noCompiler } from '../../../native/launcher/builds.js'
import { run, script } from '../processes.js'
import { STARTERS } from '../starters.js'

const isRoot = process.getuid?.() === 0
const nobody = { name: 'nobody', uid: 65_534, gid: 65_534, home: '/nonexistent', groups: [] }

for (const { name, skip, setup } of STARTERS) {
  describe(`a start that fails, by ${name}`, { skip }, () => {
    let dir: string
    let starter: ProcessStarter

    before(() => {
      dir = makeTempDir('flux-start-failure-')
      chmodSync(dir, 0o755)
      starter = platform.createStarter(setup(dir))
    })
    after(() => starter.close())

    function program(name: string, contents: string | Buffer, mode = 0o755): string {
      const file = join(dir, name)
      writeFileSync(file, contents)
      chmodSync(file, mode)
      return file
    }

    async function failure(file: string, changes: Partial<StartRequest> = {}): Promise<StartFailure> {
      const { end, output } = await run(starter, script('', { file, ...changes }))
      assert.equal(output.length, 0)
      assert.ok(end.kind === 'not started', JSON.stringify(end))
      assert.ok(end.error.includes(`(${end.code})`), end.error)
      return end
    }

    async function assertFails(code: string, text: string, file: string, changes: Partial<StartRequest> = {}) {
      const error = await failure(file, changes)
      assert.deepEqual([error.code, error.error], [code, `${text} (${code})`])
    }

    it('tells a file that does not exist', async () => {
      const file = join(dir, 'nothing')
      await assertFails('ENOENT', `${file} does not exist`, file)
    })

    it('tells a working directory that does not exist', async () => {
      const cwd = join(dir, 'no-folder')
      await assertFails('ENOENT', `working directory ${cwd} does not exist`, '/bin/sh', { cwd })
    })

    it('tells an interpreter that does not exist', async () => {
      const file = program('lost', '#! /nowhere/ruby -w\nputs 1\n')
      await assertFails('ENOENT', `interpreter /nowhere/ruby of ${file} does not exist`, file)
    })

    it('tells an interpreter line that ends as on Windows', async () => {
      const file = program('windows', '#!/bin/sh\r\necho x\r\n')
      const { error } = await failure(file)
      assert.match(error, /interpreter "\/bin\/sh\\r" of .*windows does not exist/)
      assert.match(error, /carriage return/)
    })

    it('tells a native program whose loader does not exist', async () => {
      const file = program('foreign', withLoader('/nowhere/ld.so'))
      const fix = 'it was built for another system; build it for this one, or static'
      await assertFails('ENOENT', `${file} needs the loader /nowhere/ld.so, which does not exist: ${fix}`, file)
      const alpine = program('alpine', withLoader('/lib/ld-musl-sparc.so.1'))
      const { error } = await failure(alpine)
      assert.match(error, /needs the loader \/lib\/ld-musl-sparc\.so\.1, .* musl, as Alpine/)
      const interpreted = program('interpreted-by-foreign', `#!${file}\n`)
      const text = `interpreter ${file} of ${interpreted} needs the loader /nowhere/ld.so, which does not exist: ${fix}`
      await assertFails('ENOENT', text, interpreted)
    })

    it('tells what is wrong with a first line', async () => {
      for (const [index, line] of ['#!\n', '#! \t \nexit 0\n', '#!'].entries()) {
        const file = program(`nothing-named-${index}`, line)
        const { code, error } = await failure(file)
        // The kernel takes the last one for the name of nothing.
        assert.ok(code === 'ENOEXEC' || index === 2, code)
        assert.equal(error, `${file} names no interpreter behind #!, as in #!/bin/sh (${code})`)
      }
      const relative = program('relative', '#!python3\n')
      const how = `it is looked for in ${dir}, not on PATH; write #!/usr/bin/env python3`
      await assertFails('ENOENT', `interpreter python3 of ${relative} does not exist: ${how}`, relative, { cwd: dir })
      const long = program('long', `#!/${'x'.repeat(300)}\n`)
      await assertFails('ENOEXEC', `${long} has a first line of more than 255 bytes`, long)
    })

    it('tells scripts that interpret themselves or each other', async () => {
      const self = program('self', '#!./self\n')
      await assertFails('ELOOP', `interpreter ./self of ${self} is a script that it interprets itself`, self, {
        cwd: dir,
      })
      for (let level = 0; level < 8; level++) program(`level-${level}`, `#!${join(dir, `level-${level + 1}`)}\n`)
      const { code, error } = await failure(join(dir, 'level-0'))
      assert.equal(code, 'ELOOP')
      assert.match(error, /level-0 has too many interpreters that are scripts: .*level-0, .*level-1, /)
      program('one', '#!/bin/sh\necho one\n')
      const two = program('two', `#!${join(dir, 'one')}\n`)
      assert.equal((await run(starter, script('', { file: two, args: [] }))).output.toString(), 'one\n')
    })

    it('tells an interpreter for another kind of machine', { skip: isEmulated() }, async () => {
      const interpreter = program('sparc-ruby', withMachine(2))
      const file = program('on-sparc', `#!${interpreter}\n`)
      const what = 'is a native program for another kind of machine: number 2'
      await assertFails('ENOEXEC', `interpreter ${interpreter} of ${file} ${what}`, file)
    })

    it('tells a file system on which nothing may be executed', { skip: !isRoot }, async (t) => {
      const at = join(dir, 'no exec')
      mkdirSync(at)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'noexec', 'none', at])
      t.after(() => execFileSync('umount', ['-l', at]))
      const file = program('no exec/script', '#!/bin/sh\n')
      const fix = 'which is mounted noexec: mount it without, or move apps_dir'
      await assertFails('EACCES', `${file} lies below ${at}, ${fix}`, file)
    })

    it('tells a file that may not be executed', async () => {
      const file = program('plain', '#!/bin/sh\n', 0o644)
      await assertFails('EACCES', `${file} may not be executed by the user it runs as`, file)
    })

    it('tells a folder', async () => {
      const file = join(dir, 'folder')
      mkdirSync(file)
      await assertFails('EACCES', `${file} is a folder, not a program`, file)
    })

    it('tells a FIFO, which it does not open', async (t) => {
      const file = join(dir, 'fifo')
      execFileSync('mkfifo', [file])
      // Waits until somebody opens it for reading.
      const writer = spawn('sh', ['-c', 'echo ready; exec echo opened >"$1"', 'sh', file], { stdio: 'pipe' })
      t.after(() => writer.kill('SIGKILL'))
      await once(writer.stdout, 'data')
      await assertFails('EACCES', `${file} is a FIFO, not a program`, file)
      const interpreted = program('interpreted', `#!${file}\n`)
      await assertFails('EACCES', `interpreter ${file} of ${interpreted} may not be executed`, interpreted)
      assert.equal(writer.exitCode, null)
      writer.kill('SIGKILL')
      await once(writer, 'exit')
      assert.deepEqual([writer.exitCode, writer.signalCode], [null, 'SIGKILL'])
    })

    it('tells a device', async () => {
      const file = join(dir, 'device')
      symlinkSync('/dev/null', file)
      await assertFails('EACCES', `${file} is a device, not a program`, file)
    })

    it('takes a file of /proc, which may wait for whoever reads it, for an empty one', async () => {
      assert.deepEqual(await readHead('/proc/kmsg', 1), Buffer.alloc(0))
    })

    it('does not wait for a file that its user keeps from being opened', { skip: noCompiler }, async (t) => {
      const file = program('leased', '#!/bin/sh\n', 0o644)
      const holder = spawn(helper('hold-lease'), [file], { stdio: 'pipe' })
      t.after(() => holder.kill('SIGKILL'))
      await once(holder.stdout, 'data')
      const begun = performance.now()
      await assertFails('EACCES', `${file} may not be executed by the user it runs as`, file)
      assert.ok(performance.now() - begun < 5_000, 'it took the lease')
      holder.kill('SIGKILL')
      await once(holder, 'exit')
    })

    it('tells an interpreter that may not be executed', async () => {
      const interpreter = program('interpreter', '', 0o644)
      const file = program('script', `#!${interpreter}\n`)
      await assertFails('EACCES', `interpreter ${interpreter} of ${file} may not be executed`, file)
    })

    it('tells a file that only another user may execute', { skip: !isRoot }, async () => {
      const file = program('private', '#!/bin/sh\n', 0o700)
      await assertFails('EACCES', `${file} may not be executed by the user it runs as`, file, { runAs: nobody })
    })

    const neither = 'is neither a native program nor a script that begins with #!'
    for (const [what, contents, says] of [
      ['text without #!', 'echo hello\n', `${neither}: its first line has to name an interpreter, as in #!/bin/sh`],
      ['text before #!', '\n#!/bin/sh\n', `${neither}: #! has to be its first two bytes`],
      [
        'a byte order mark',
        '\ufeff#!/bin/sh\n',
        `${neither}: a byte order mark comes before #!; save it as UTF-8 without one`,
      ],
      ['UTF-16', Buffer.from('\ufeff#!/bin/sh\n', 'utf16le'), `${neither}: it is UTF-16; save it as UTF-8`],
      ['an empty file', '', 'is empty'],
      ['bytes', Buffer.from([1, 2, 3, 4]), neither],
      [
        'a Java class',
        Buffer.from([0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 65]),
        'is a Java class, which Linux does not run: make a script the handler that runs it, as in exec java Main',
      ],
      ['a program for Windows', 'MZ\x90\0', 'is a program for Windows, which Linux does not run: build it for Linux'],
      ['an object file', withType(1), 'is an object file that is not linked'],
      [
        'compiled Python',
        Buffer.concat([Buffer.from([0xa7, 0x0d, 0x0d, 0x0a]), Buffer.alloc(12)]),
        'is compiled Python, which Linux does not run: make a script the handler that runs it, as in exec python3 main.pyc',
      ],
      [
        'xz',
        Buffer.from('\xfd7zXZ\0', 'latin1'),
        'is compressed by xz, which Linux does not run: unpack it before the deploy',
      ],
      ...['# !/bin/sh', ' # ! /bin/sh', '#/bin/sh', '!#/bin/sh'].map(
        (line) =>
          [
            line,
            `${line}\necho x\n`,
            `${neither}: its first line is ${JSON.stringify(line.trim())}; write #!/bin/sh, with nothing before and between #!`,
          ] as const,
      ),
      ['a comment', '# in /etc\necho\n', `${neither}: its first line has to name an interpreter, as in #!/bin/sh`],
      ...[10, 40, 63].map(
        (size) => [`${size} bytes of a program`, withLoader('/x').subarray(0, size), cutOff(size)] as const,
      ),
      ['a program without its segments', withLoader('/x').subarray(0, 100), cutOff(100, 120)],
    ] as const) {
      it(`tells ${what} from a program, and does not hand it to a shell`, async () => {
        const file = program(`not-a-program ${what.replaceAll('/', '_')}`, contents)
        await assertFails('ENOEXEC', `${file} ${says}`, file)
        // Nor the second time.
        assert.equal((await failure(file)).code, 'ENOEXEC')
      })
    }

    it('tells a program for another kind of machine', { skip: isEmulated() }, async () => {
      const file = program('sparc', withMachine(2))
      const { code, error } = await failure(file)
      assert.equal(code, 'ENOEXEC')
      assert.ok(error.includes(file) && error.includes('another kind of machine'), error)
    })

    it('tells an argument that is too long, and the longest that the kernel takes', async () => {
      const [taken, refused] = [131_071, 131_072].map((length) => ['-c', 'true', 'x'.repeat(length)])
      const { end } = await run(starter, script('', { args: taken ?? [] }))
      assert.deepEqual([end.kind, end.kind === 'exited' && end.code], ['exited', 0])
      const text = 'argument 3 is too long: 131072 bytes; allowed: 131071'
      await assertFails('E2BIG', text, '/bin/sh', { args: refused ?? [] })
    })

    it('tells a variable that is too long', async () => {
      const text = 'env SECRET is too long: 200007 bytes; allowed: 131071'
      await assertFails('E2BIG', text, '/bin/sh', { env: { SECRET: 'y'.repeat(200_000) } })
    })

    it('tells how much is too long together', async () => {
      const { code, error } = await failure('/bin/sh', { args: Array.from({ length: 60 }, () => 'x'.repeat(120_000)) })
      assert.equal(code, 'E2BIG')
      assert.match(error, /^arguments and environment are too long together: 720\d{4} bytes; allowed: \d{7} \(E2BIG\)$/)
    })

    it('takes arguments of a megabyte', async () => {
      const args = Array.from({ length: 16 }, () => 'x'.repeat(64_000))
      const { output } = await run(starter, script('', { args: ['-c', 'echo $#', 'sh', ...args] }))
      assert.equal(output.toString(), '16\n')
    })
  })
}

function cutOff(size: number, needed = 64): string {
  return `is a native program that was cut off: it has ${size} of at least ${needed} bytes; copy it whole and deploy it again`
}

/** The ELF header and one program header that asks for this loader. */
function withLoader(loader: string): Buffer {
  const elf = elfHeader()
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  const segment = Buffer.alloc(56)
  segment.writeUInt32LE(3, 0)
  segment.writeUInt32LE(4, 4)
  segment.writeBigUInt64LE(120n, 8)
  segment.writeBigUInt64LE(BigInt(loader.length + 1), 32)
  segment.writeBigUInt64LE(BigInt(loader.length + 1), 40)
  return Buffer.concat([elf, segment, Buffer.from(`${loader}\0`)])
}

/** Whether an emulator is registered that may run programs for other machines. */
function isEmulated(): boolean {
  const folder = '/proc/sys/fs/binfmt_misc'
  return existsSync(folder) && readdirSync(folder).some((name) => name !== 'register' && name !== 'status')
}

function withType(type: number): Buffer {
  const elf = elfHeader()
  elf.writeUInt16LE(type, 16)
  return elf
}

function withMachine(machine: number): Buffer {
  const elf = elfHeader()
  elf.writeUInt16LE(machine, 18)
  return elf
}

/** Of a 64-bit program for this machine. */
function elfHeader(): Buffer {
  const elf = Buffer.alloc(64)
  elf.write('\x7fELF\x02\x01\x01', 'latin1')
  elf.writeUInt16LE(2, 16)
  elf.writeUInt16LE(process.arch === 'arm64' ? 183 : 62, 18)
  elf.writeUInt32LE(1, 20)
  elf.writeUInt16LE(64, 52)
  return elf
}
