import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { platform } from '../../src/os/index.js'
import { noCompiler } from '../native/launcher/builds.js'

const KEYS = ['HOME', 'LANG', 'LOGNAME', 'PATH', 'TERM', 'TMPDIR', 'TZ', 'USER']
const isRoot = process.getuid?.() === 0

describe('the platform', { skip: process.platform === 'win32' }, () => {
  it("bases a function's environment on the user it runs as", () => {
    const runAs = { name: 'runner', uid: 65_534, gid: 65_534, home: '/home/runner', groups: [] }
    const environment = platform.baseEnvironment(runAs)
    assert.deepEqual(Object.keys(environment).sort(), KEYS)
    assert.deepEqual(
      [environment['HOME'], environment['USER'], environment['LOGNAME']],
      ['/home/runner', 'runner', 'runner'],
    )
  })

  it('bases it on its own user where functions run as that', () => {
    const { HOME, USER } = platform.baseEnvironment(undefined)
    assert.deepEqual([HOME, USER], [userInfo().homedir, userInfo().username])
  })

  it('has an environment for functions although its own user has no name', { skip: !isRoot }, () => {
    const program = `
      import(${JSON.stringify(new URL('../../src/os/index.js', import.meta.url).href)}).then(({ platform }) => {
        process.setgroups([])
        process.setgid(54321)
        process.setuid(54321)
        console.log(JSON.stringify(platform.baseEnvironment(undefined)))
      })`
    const environment = JSON.parse(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' }))
    assert.deepEqual(Object.keys(environment).sort(), KEYS)
    assert.equal(environment['USER'], '54321')
  })

  it('finds a user by name, with its home', () => {
    const root = platform.findUser('root')
    assert.deepEqual([root?.uid, root?.gid], [0, 0])
    assert.ok(root?.home.startsWith('/'))
  })

  for (const name of ['no-such-user', '', '--help', 'root:x']) {
    it(`finds no user ${JSON.stringify(name)}`, () => assert.equal(platform.findUser(name), undefined))
  }

  it('tells how to create a user', () => {
    assert.match(platform.createUserHint('flux-runner'), /^useradd .* flux-runner$/)
  })

  it('tells a process from a later one by its start time', { skip: process.platform !== 'linux' }, async () => {
    const child = spawn('sleep', ['60'])
    const pid = child.pid as number
    const startTime = platform.processStartTime(pid)
    assert.ok(startTime)
    assert.equal(platform.processStartTime(pid), startTime)
    assert.notEqual(platform.processStartTime(process.pid), startTime)
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.equal(platform.processStartTime(pid), undefined)
  })

  it('tells what processes use, without those that are gone', async () => {
    const child = spawn('sh', ['-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; exec sleep 60'])
    await once(child.stdout, 'data')
    const pid = child.pid as number
    const [use, own] = [await platform.usage([pid, 2 ** 22 + 1]), await platform.usage([process.pid])]
    assert.deepEqual([...use.keys()], [pid])
    const { cpuMs = 0, ageMs = 0, memoryBytes = 0 } = use.get(pid) ?? {}
    assert.ok(cpuMs >= 10 && cpuMs <= ageMs + 100, `${cpuMs} ms of ${ageMs} ms`)
    assert.ok(memoryBytes > 100_000 && memoryBytes < 50_000_000, `${memoryBytes} bytes`)
    const ownAge = (own.get(process.pid)?.ageMs ?? 0) / (process.uptime() * 1000)
    assert.ok(ownAge > 0.5 && ownAge < 2, `${ownAge} times the right age`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.deepEqual([...(await platform.usage([pid])).keys()], [])
  })

  it('kills a group by the pid of its leader, and takes one that is gone without harm', async () => {
    const child = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [grandchild] = await once(child.stdout, 'data')
    platform.killGroup(child.pid as number)
    await once(child, 'exit')
    await eventually('its child is dead', () => !isRunning(Number(grandchild)))
    platform.killGroup(child.pid as number)
  })

  describe('looks at the program of a deploy', { skip: process.platform !== 'linux' }, () => {
    const dir = makeTempDir('flux-program-')

    async function problemOf(contents: string | Buffer): Promise<string | undefined> {
      const file = join(dir, 'run')
      writeFileSync(file, contents, { mode: 0o755 })
      return (await platform.programProblem(file))?.replaceAll(file, 'run')
    }

    const sound = [
      '#!/bin/sh -e\n',
      '#!/usr/bin/env sh\n',
      '#!/usr/bin/env -S sh -e\n',
      '#!/usr/bin/env -S A=1 sh -e\n',
      '#!/usr/bin/env -S "sh" -e\n',
      '#!/usr/bin/env -i sh\n',
    ]
    for (const contents of sound) {
      it(`takes ${JSON.stringify(contents)}`, async () => assert.equal(await problemOf(contents), undefined))
    }

    const faulty: readonly (readonly [contents: string, problem: RegExp])[] = [
      ['#!/usr/bin/env no-such-program\n', /^program no-such-program of run is not in \/usr\/local\/sbin:.*PATH$/],
      ['#!/usr/bin/env -S no-such-program -u\n', /^program no-such-program of run is not in /],
      ['#!/usr/bin/env ./no-such-program\n', /^program \.\/no-such-program of run does not exist$/],
      ['#!/usr/bin/env sh -e\n', /^run has env look for one program named "sh -e": write #!\/usr\/bin\/env -S sh -e$/],
      ['#!/usr/bin/env sh\r\necho\r\n', /^run has a first line that ends in a carriage return, as on Windows/],
      ['#!/bin/sh -e\r\necho\r\n', /^run has a first line that ends in a carriage return, as on Windows/],
      ['#!/bin/sh\recho\r', /^interpreter "\/bin\/sh\\r" of run does not exist: .* as on old Macs/],
      ['#\0!\0/\0b\0', /it is UTF-16; save it as UTF-8$/],
      ['# !/bin/sh\necho\n', /its first line is "# !\/bin\/sh"; write #!\/bin\/sh, /],
      ['version https://git-lfs.github.com/spec/v1\noid sha256:1\n', /Git LFS: run `git lfs pull` before the deploy$/],
    ]
    it('warns of a native program that is cut off, and not of one without the names of its parts', async () => {
      const whole = readFileSync('/bin/sh')
      const half = whole.length >> 1
      const missing = new RegExp(`^run is a native program that was cut off: it has ${half} of at least \\d+ bytes; `)
      assert.match((await problemOf(whole.subarray(0, half))) ?? '', missing)
      for (const size of [0, 4, 10, 40, 63, 100]) {
        const says = size === 0 ? /^run is empty$/ : new RegExp(`cut off: it has ${size} of`)
        assert.match((await problemOf(whole.subarray(0, size))) ?? '', says)
      }
      // sstrip and the like leave the table of sections out, which nothing that runs needs.
      assert.equal(await problemOf(whole.subarray(0, sectionTable(whole))), undefined)
      assert.equal(await problemOf(whole), undefined)
    })

    it('warns of a shared library', { skip: noCompiler }, async () => {
      const library = join(dir, 'lib.so')
      execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', library, '-'], { input: 'int f(void) { return 1; }' })
      assert.match((await problemOf(readFileSync(library))) ?? '', /^run is a shared library, .* build a program/)
      // As older linkers write it, told from a static program by its name.
      const older = readFileSync(library)
      older.writeBigUInt64LE(0x1040n, 24)
      writeFileSync(library, older, { mode: 0o755 })
      assert.match((await platform.programProblem(library)) ?? '', /lib\.so is a shared library, /)
      const loader = join(dir, 'ld-linux-x86-64.so.2')
      copyFileSync(library, loader)
      assert.equal(await platform.programProblem(loader), undefined)
    })

    it('takes static programs', { skip: noCompiler }, async () => {
      for (const kind of ['-static', '-static-pie']) {
        const program = join(dir, 'program')
        execFileSync('cc', [kind, '-x', 'c', '-o', program, '-'], { input: 'int main(void) { return 0; }' })
        assert.equal(await problemOf(readFileSync(program)), undefined)
      }
    })

    for (const [contents, problem] of faulty) {
      it(`warns of ${JSON.stringify(contents)}`, async () => assert.match((await problemOf(contents)) ?? '', problem))
    }
  })
})

/** Where the table of sections begins in a 64-bit program, bytes: behind all that it runs with. */
function sectionTable(elf: Buffer): number {
  return Number(elf.readBigUInt64LE(40))
}
