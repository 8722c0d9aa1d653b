import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { CLI, makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { onExit } from '../../harness/on-exit.js'
import { buildZip, FILE, PROGRAM } from '../../harness/zip.js'
import { runFolder } from '../../src/host/run-folder.js'
import { runCli } from '../support/cli.js'
import { clientsTo } from '../support/flux-client.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'

const WHOAMI = 'id -un; id -gn; id -G; echo "$HOME $USER $LOGNAME"; pwd'

describe('run_as', { skip: noUsers }, () => {
  let user: SystemUser

  before(() => {
    user = createUser()
  })
  after(() => user.remove())

  it('of a user who does not exist ends the start with the command that creates it', async () => {
    const dir = makeTempDir('flux-run-as-')
    const file = join(dir, 'agent.yaml')
    const config = {
      agent_id: 'runner',
      host: '127.0.0.1',
      port: 0,
      redis_addr: 'embedded',
      state_dir: join(dir, 'state'),
    }
    writeFileSync(file, JSON.stringify({ ...config, run_as: 'flux-nobody' }))
    const { code, stderr } = await runCli(['start', '--config', file])
    assert.equal(code, 1)
    const lines = stderr.trim().split('\n')
    assert.equal(lines.length, 1, stderr)
    assert.equal(
      JSON.parse(lines[0] ?? '').msg,
      `cannot start: ${file}: run_as: user flux-nobody does not exist; create it: ` +
        'useradd --system --create-home --home-dir /home/flux-nobody --shell /usr/sbin/nologin flux-nobody',
    )
  })

  describe('as root', () => {
    let agent: TestAgent
    let calls: Calls

    before(async () => {
      agent = await startTestAgent({ config: { run_as: user.name, functions: { isolation: 'shared' } } })
      calls = new Calls(agent.client)
      await calls.script('who', WHOAMI)
      await calls.script('run', 'eval "$1"')
    })
    after(() => agent.stop())

    const run = async (lines: string) => {
      const { output, error } = await calls.execute({ function_name: 'run', args: [lines] })
      return `${output}${error}`
    }

    it('has functions run as that user, with its groups, home and apps folder', async () => {
      const { output } = await calls.execute({ function_name: 'who' })
      const [name, group, groups, variables, cwd] = output.toString().split('\n')
      assert.deepEqual([name, group, groups?.split(' ').length], [user.name, user.name, 1])
      assert.equal(variables, `${user.home} ${user.name} ${user.name}`)
      assert.match(cwd ?? '', new RegExp(`^${user.home}/apps/who/versions/`))
    })

    it('keeps functions from the sockets of launchers', { skip: noLauncher }, async () => {
      const folder = runFolder(join(agent.dir, 'state'))
      const [socket = ''] = readdirSync(folder)
      assert.match(socket, /\.sock$/)
      // Even where somebody has opened the folders above.
      for (const open of [agent.dir, join(agent.dir, 'state')]) chmodSync(open, 0o711)
      assert.match(await run(`ls ${folder}`), /Permission denied/)
      const connect =
        'socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ARGV[0])) or die "$!\n"; print "connected"'
      assert.match(await run(`perl -MSocket -e '${connect}' ${folder}/${socket} 2>&1`), /Permission denied/)
      chmodSync(folder, 0o711)
      chmodSync(join(folder, socket), 0o777)
      const asked = 'sysread(S, $told, 1) or print "told nothing"'
      assert.match(await run(`perl -MSocket -e '${connect}; ${asked}' ${folder}/${socket} 2>&1`), /told nothing$/)
      const told = await run('cat /proc/net/unix /proc/[0-9]*/cmdline 2> /dev/null | tr "\\0" "\\n"')
      assert.match(told, /^\/sys\/fs\/cgroup.*launcher-|launcher-.*\.sock/m)
      assert.ok(!told.includes(folder))
    })

    it('keeps deployed code from everybody else, and from being changed by the functions', async () => {
      const archive = buildZip([
        { name: 'bin/main', contents: '#!/bin/sh\ncat ../secret && touch ../secret && echo changed', mode: PROGRAM },
        { name: 'secret', contents: 'secret\n', mode: FILE | 0o777 },
      ])
      const ack = await calls.deploy('guarded', archive, { name: 'guarded', handler: 'bin/main' })
      assert.equal(ack.success, true, ack.message)
      const { output, error } = await calls.execute({ function_name: 'guarded' })
      assert.match(output.toString(), /^secret\ntouch: .*Permission denied\n$/)
      assert.equal(error, 'exit code 1')
      const apps = join(user.home, 'apps')
      const passage = lstatSync(join(apps, '.tmp'))
      assert.deepEqual([passage.uid, passage.mode & 0o7777], [0, 0o711])
      for (const path of codeBelow(apps)) {
        const { mode, uid } = lstatSync(path)
        assert.equal(uid, 0, path)
        // Those of a function lead on, in an apps folder that lets nobody in.
        const leads = /\/apps\/[^/]+(\/versions)?$/.test(path)
        assert.equal(mode & 0o027, leads ? 0o001 : 0, `${path} is ${(mode & 0o777).toString(8)}`)
      }
    })

    it('keeps the state of the agent from functions', async () => {
      assert.match(await run(`ls ${join(agent.dir, 'state')}`), /Permission denied\nexit code 2$/)
    })

    it('lets a function write to its own output by name', async () => {
      assert.equal(await run('echo out > /dev/stdout; echo err > /dev/stderr'), 'out\nerr\n')
    })

    it('ends executions, although another user owns their processes', async () => {
      const id = await calls.start('run', ['sleep 60 & sleep 60 & echo ready; wait'])
      await calls.printed(id, 'ready')
      assert.equal((await calls.cancel(id)).success, true)
    })

    it('tells a handler that the user may not execute', async () => {
      const folder = makeTempDir('flux-run-as-')
      const interpreter = join(folder, 'interpreter')
      writeFileSync(interpreter, '#!/bin/sh\n')
      chmodSync(interpreter, 0o700)
      const archive = buildZip([{ name: 'main', contents: `#!${interpreter}\n`, mode: PROGRAM }])
      await calls.deploy('forbidden', archive, { name: 'forbidden', handler: 'main' })
      const { error } = await calls.execute({ function_name: 'forbidden' })
      assert.match(error, /\(EACCES\)$/)
    })
  })

  it('is told to be ignored where the agent is not root, and functions run as its own user', async (t) => {
    const dir = makeTempDir('flux-run-as-')
    const state = join(dir, 'state')
    mkdirSync(state)
    for (const path of [dir, state]) chownSync(path, user.uid, user.gid)
    const file = join(dir, 'agent.yaml')
    const config = { agent_id: 'plain', host: '127.0.0.1', port: 0, redis_addr: 'embedded', state_dir: state }
    writeFileSync(file, JSON.stringify({ ...config, run_as: 'flux-nobody' }))
    const own = ['--reuid', user.name, '--regid', user.name, '--init-groups', '--reset-env']
    const agent = spawn('setpriv', [...own, process.execPath, CLI, 'start', '--config', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    onExit(() => agent.kill('SIGKILL'))
    const ended = once(agent, 'exit')
    let log = ''
    agent.stderr.setEncoding('utf8').on('data', (data) => {
      log += data
    })
    t.after(async () => {
      agent.kill('SIGTERM')
      await ended
    })
    const serving = await eventually(
      `it serves: ${log}`,
      () => log.split('\n').find((line) => line.includes('"serving"')),
      30,
    )
    const { port, apps } = JSON.parse(serving) as { port: number; apps: string }
    const clients = clientsTo(port, credentials.createInsecure())
    t.after(() => clients.close())
    const calls = new Calls(clients.agent)
    await calls.script('who', WHOAMI)
    const { output } = await calls.execute({ function_name: 'who' })
    assert.ok(log.includes(`not root: functions run as the agent's own user, not as flux-nobody`), log)
    const [name, group, , variables] = output.toString().split('\n')
    assert.deepEqual([name, group, variables], [user.name, user.name, `${user.home} ${user.name} ${user.name}`])
    assert.equal(apps, join(state, 'apps'))
    for (const path of codeBelow(apps)) assert.equal(lstatSync(path).mode & 0o077, 0, path)
  })
})

/** The apps folder and all that is in it, but for the executions' own folders. */
function codeBelow(apps: string): string[] {
  const names = readdirSync(apps, { recursive: true, encoding: 'utf8' }).filter((name) => !/^\.tmp(\/|$)/.test(name))
  return [apps, ...names.map((name) => join(apps, name))]
}
