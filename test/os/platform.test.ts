import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { describe, it } from 'node:test'
import { platform } from '../../src/os/index.js'
import { eventually } from '../support/eventually.js'
import { isRunning } from '../support/processes.js'

const KEYS = ['HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'TZ', 'USER']
const isRoot = process.getuid?.() === 0

describe('the platform', { skip: process.platform === 'win32' }, () => {
  it("bases a function's environment on the user it runs as", () => {
    const runAs = { name: 'runner', uid: 65_534, gid: 65_534, home: '/home/runner' }
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

  it('tells a process from a later one by its birth', { skip: process.platform !== 'linux' }, async () => {
    const child = spawn('sleep', ['60'])
    const pid = child.pid as number
    const birth = platform.processBirth(pid)
    assert.ok(birth)
    assert.equal(platform.processBirth(pid), birth)
    assert.notEqual(platform.processBirth(process.pid), birth)
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.equal(platform.processBirth(pid), undefined)
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
})
