import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import pino from 'pino'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { openAppsFolder } from '../../src/host/apps-folder.js'
import { platform } from '../../src/os/index.js'
import type { RunAs } from '../../src/os/platform.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'

describe('the apps folder', { skip: noUsers }, () => {
  let user: SystemUser
  let runAs: RunAs
  let home: string
  let apps: string

  before(() => {
    user = createUser()
    runAs = platform.findUser(user.name) as RunAs
    home = user.home
    apps = join(home, 'apps')
  })
  after(() => user.remove())
  beforeEach(() => {
    rmSync(home, { recursive: true, force: true })
    mkdirSync(home, { mode: 0o755 })
    chownSync(home, user.uid, user.gid)
  })

  /** Opens it and answers what it has warned of. */
  function open(appsDir?: string, runner = runAs): string[] {
    const lines: string[] = []
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
    const config = {
      stateDir: '/state',
      file: '/etc/agent.yaml',
      fromVariables: [],
      ...(appsDir !== undefined && { appsDir }),
    }
    openAppsFolder(config, runner, log)
    return lines
  }

  function rightsTo(path: string): [uid: number, gid: number, mode: string] {
    const { uid, gid, mode } = statSync(path)
    return [uid, gid, (mode & 0o7777).toString(8)]
  }

  const asRunner = (lines: string) => {
    const own = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups']
    return spawnSync('setpriv', [...own, 'sh', '-c', lines], { encoding: 'utf8', cwd: home })
  }

  function processesOf(uid: number): string[] {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return pids.filter((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === uid)
  }

  it("in the runner's home is safe from the runner, who can go on writing there", () => {
    const [line, ...more] = open()
    assert.equal(
      line,
      `${home}, the home of ${user.name}, belongs to the agent from now on with mode 1770: ` +
        'functions can make files in it, but not put another apps folder in place',
    )
    assert.deepEqual(more, [])
    assert.deepEqual(rightsTo(home), [0, user.gid, '1770'])
    assert.deepEqual(rightsTo(apps), [0, user.gid, '750'])
    for (const attack of [
      'mv apps mine',
      'rmdir apps',
      'mkdir mine; mv -T mine apps',
      'ln -sfn /tmp apps; [ -L apps ]',
    ]) {
      assert.notEqual(asRunner(attack).status, 0, attack)
    }
    assert.equal(lstatSync(apps).isDirectory(), true)
    assert.equal(asRunner('echo > file && mv file other && rm other && ls apps').status, 0)
  })

  it('is told of once', () => {
    open()
    assert.deepEqual(open(), [])
  })

  it('is made together with a home that does not exist', () => {
    rmSync(home, { recursive: true })
    assert.match(open()[0] ?? '', /was made with mode 1770/)
    assert.deepEqual(rightsTo(home), [0, user.gid, '1770'])
    assert.deepEqual(rightsTo(apps), [0, user.gid, '750'])
  })

  it('has its modes at every start', () => {
    open()
    chmodSync(apps, 0o777)
    chownSync(apps, 0, 0)
    open()
    assert.deepEqual(rightsTo(apps), [0, user.gid, '750'])
  })

  const foreign: [what: string, make: () => void, problem: RegExp][] = [
    ['a symbolic link', () => symlinkSync('/tmp', apps), /is a symbolic link, not a folder/],
    ['a link to nothing', () => symlinkSync('/none', apps), /is a symbolic link, not a folder/],
    ['a file', () => writeFileSync(apps, ''), /is not a folder/],
    ['a folder of the runner', () => mkdirSync(apps), /belongs to user \d+, not to the agent's/],
  ]
  for (const [what, make, problem] of foreign) {
    it(`that is ${what} ends the start, and stays as it is`, () => {
      make()
      if (what.startsWith('a folder')) chownSync(apps, user.uid, user.gid)
      const { uid, mode } = lstatSync(apps)
      assert.throws(
        () => open(),
        ({ code, message }: Error & { code: string }) => {
          assert.equal(code, 'START_REFUSED')
          assert.match(message, /^\/etc\/agent\.yaml: apps_dir: /)
          assert.match(message, problem)
          assert.ok(message.endsWith(`; move it away (mv ${apps} ${apps}.old), or give another apps_dir`), message)
          return true
        },
      )
      assert.deepEqual([lstatSync(apps).uid, lstatSync(apps).mode], [uid, mode])
    })
  }

  it("leaves a home alone that is root's and closed to the runner already", () => {
    chownSync(home, 0, 0)
    assert.deepEqual(open(), [])
    assert.deepEqual(rightsTo(home), [0, 0, '755'])
    assert.deepEqual(rightsTo(apps), [0, user.gid, '750'])
  })

  it('is reached by a runner whose group has changed since', () => {
    open()
    chownSync(home, 0, user.gid + 1)
    assert.match(open()[0] ?? '', /belongs to the agent from now on/)
    assert.deepEqual(rightsTo(home), [0, user.gid, '1770'])
  })

  it('elsewhere is warned of where the runner may put another in its place', () => {
    const own = join(home, 'own')
    mkdirSync(join(own, 'deep'), { recursive: true })
    chownSync(own, user.uid, user.gid)
    const lines = open(join(own, 'deep', 'apps'))
    assert.equal(lines.length, 2, lines.join('\n'))
    for (const [i, folder] of [own, home].entries()) {
      assert.match(
        lines[i] ?? '',
        new RegExp(`may replace the apps folder ${own}/deep/apps, as they may write ${folder}:`),
      )
    }
    assert.deepEqual(rightsTo(join(own, 'deep', 'apps')), [0, user.gid, '750'])
    assert.equal(statSync(home).uid, user.uid)
  })

  it('behind a link is warned of as well', () => {
    const elsewhere = makeTempDir('flux-apps-')
    chmodSync(elsewhere, 0o755)
    symlinkSync(home, join(elsewhere, 'link'))
    const lines = open(join(elsewhere, 'link', 'sub', 'apps'))
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', new RegExp(`as they may write ${home}:`))
  })

  it('elsewhere is not warned of where only the agent may write, or whoever owns a file', () => {
    const folder = makeTempDir('flux-apps-')
    assert.deepEqual(open(join(folder, 'apps')), [])
  })

  it('is never what a function puts in its place while the agent starts', async (t) => {
    const target = makeTempDir('flux-apps-')
    chmodSync(target, 0o755)
    open()
    const own = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups']
    const attack = `while :; do ln -s ${target} apps; rm apps; mkdir apps; rmdir apps; done 2>/dev/null`
    const attacker = spawn('setpriv', [...own, 'sh', '-c', attack], { cwd: home, detached: true, stdio: 'ignore' })
    t.after(async () => {
      process.kill(-(attacker.pid as number), 'SIGKILL')
      // No user can be deleted while a process is its own.
      await eventually('the attacker is dead', () => processesOf(user.uid).length === 0)
    })
    rmdirSync(apps)
    await eventually('the attacker is at work', () => lstatSync(apps, { throwIfNoEntry: false })?.isSymbolicLink())
    let refused = 0
    for (let round = 0; round < 300; round++) {
      try {
        rmdirSync(apps)
      } catch {
        // It is the attacker's link, or there is none.
      }
      try {
        open()
        assert.deepEqual(rightsTo(apps), [0, user.gid, '750'])
      } catch (error) {
        assert.equal((error as { code: string }).code, 'START_REFUSED')
        refused++
      }
      assert.deepEqual(rightsTo(target), [0, 0, '755'])
      await nextTurn()
    }
    t.diagnostic(`${refused} of 300 starts refused`)
  })

  it('is warned of where the runner may replace its home, which is left alone then', () => {
    const parent = join(makeTempDir('flux-apps-'), 'parent')
    mkdirSync(join(parent, 'home'), { recursive: true })
    for (const folder of [parent, join(parent, 'home')]) chownSync(folder, user.uid, user.gid)
    const lines = open(undefined, { ...runAs, home: join(parent, 'home') })
    assert.deepEqual(
      lines.map((line) => line.match(/as they may write ([^:]*):/)?.[1]),
      [parent],
    )
    assert.equal(statSync(join(parent, 'home')).uid, user.uid)
  })

  it('cannot be the home, nor hold it', () => {
    for (const dir of [home, '/home', '/']) {
      assert.throws(() => open(dir), {
        code: 'START_REFUSED',
        message: /holds the home of .*; give an apps_dir that holds/,
      })
    }
    assert.equal(statSync(home).uid, user.uid)
  })

  it("is left alone where functions run as the agent's own user", () => {
    const folder = makeTempDir('flux-apps-')
    open(join(folder, 'apps'), { ...runAs, uid: 0, gid: 0 })
    assert.equal(existsSync(join(folder, 'apps')), false)
  })
})
