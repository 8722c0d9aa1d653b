import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { VERSION } from '../../../src/version.js'
import { debOf, notRoot, output, without } from './packages.js'

/** Nothing outside its network namespace is there to be in the way. */
const CONFIG = 'agent_id: node-1\nhost: 127.0.0.1\nredis_addr: embedded\n'

/** A life of an agent; what it prints last is the exit code of the agent. */
const LIFE = `
  export AGENT_CONFIG=/etc/flux-agent/agent.yaml
  flux-agent doctor
  flux-agent start & agent=$!
  timeout 60 sh -c 'until flux-agent status >/dev/null 2>&1; do :; done'
  flux-agent deploy hello /root/hello &&
  flux-agent exec hello Debian
  kill -TERM $agent
  wait $agent
  echo "ended with $?"
`

describe('the package on a bare Debian without systemd', { skip: notRoot || without('debootstrap', 'ip') }, () => {
  const tree = makeTempDir('flux-debian-')
  const path = (file: string) => join(tree, file)
  let filesBefore: string[]
  let usersBefore: string

  before(() => {
    output(process.execPath, 'scripts/debian-tree.mjs', 'bookworm', tree)
    for (const absent of ['usr/bin/node', 'usr/bin/systemctl']) assert.ok(!existsSync(path(absent)), absent)
    cpSync(debOf('amd64'), path('root/flux-agent.deb'))
    cpSync('examples/hello', path('root/hello'), { recursive: true })
    filesBefore = files()
    usersBefore = readFileSync(path('etc/passwd'), 'utf8')
  })

  it('is installed by dpkg alone, as often as one likes', () => {
    const installed = inside('dpkg --install /root/flux-agent.deb')
    assert.equal(installed.status, 0, installed.output)
    assert.match(installed.output, /installed, not started/)
    const again = inside('dpkg --install /root/flux-agent.deb')
    assert.equal(again.status, 0, again.output)
    assert.doesNotMatch(again.output, /not started/)
  })

  it('makes the user that functions run as, and a home in which it can replace nothing', () => {
    const [, uid, gid, home, shell] = /^flux-runner:x:(\d+):(\d+):[^:]*:(.*):(.*)$/m.exec(read('etc/passwd')) ?? []
    assert.ok(Number(uid) < 1000)
    assert.equal(home, '/home/flux-runner')
    assert.equal(shell, '/usr/sbin/nologin')
    const { mode, uid: owner, gid: group } = statSync(path('home/flux-runner'))
    assert.deepEqual([(mode & 0o7777).toString(8), owner, group], ['1770', 0, Number(gid)])
  })

  it('says its version, also where the environment is meant for another Node', () => {
    const env = 'NODE_OPTIONS="--no-such-option --require /nowhere.js" NODE_CHANNEL_FD=7'
    assert.deepEqual(inside(`${env} flux-agent --version`), { status: 0, output: `${VERSION}\n` })
  })

  it('passes arguments on as they are', () => {
    const { output } = inside('flux-agent "no such *  command"')
    assert.match(output, /unknown command 'no such \* {2}command'/)
  })

  it('has an example in which only the certificates are missing', () => {
    const { output } = inside('flux-agent doctor --config /etc/flux-agent/agent.yaml.example')
    assert.deepEqual(output.match(/^FAIL.*/gm)?.length, 1, output)
    assert.match(output, /^FAIL +config +\/etc\/flux-agent\/agent.yaml.example: tls.ca_cert: /m)
  })

  it('runs an agent, functions and an orderly end', () => {
    writeFileSync(path('etc/flux-agent/agent.yaml'), CONFIG)
    const { output } = inside(LIFE)
    assert.match(output, /^ok +launcher/m)
    assert.match(output, /Hello, Debian!/)
    assert.match(output, /ended with 0\n$/)
    assert.ok(existsSync(path('home/flux-runner/apps/hello')))
    assert.doesNotMatch(output, /"level":"error"/)
  })

  it('leaves configuration, state, user and deployed code when it is removed', () => {
    const { status, output } = inside('dpkg --remove flux-agent')
    assert.equal(status, 0, output)
    assert.ok(!existsSync(path('usr/lib/flux-agent')))
    for (const kept of ['etc/flux-agent/agent.yaml', 'var/lib/flux-agent/store', 'home/flux-runner/apps/hello']) {
      assert.ok(existsSync(path(kept)), kept)
    }
    assert.match(read('etc/passwd'), /^flux-runner:/m)
  })

  it('leaves nothing when it is purged, and does not follow the links of functions', () => {
    mkdirSync(path('srv/precious'))
    symlinkSync('/srv/precious', path('home/flux-runner/link'))
    writeFileSync(path('srv/precious/file'), '')
    const { status, output } = inside('dpkg --purge flux-agent')
    assert.equal(status, 0, output)
    assert.equal(read('etc/passwd'), usersBefore)
    const left = files().filter((file) => !filesBefore.includes(file))
    // The copies that the tools for users make before each change.
    assert.deepEqual(
      left.filter((file) => !/^etc\/(passwd|group|shadow|gshadow)-$/.test(file)),
      ['srv/precious', 'srv/precious/file'],
    )
  })

  it('can be installed and purged again, over a user that was there before', () => {
    assert.equal(inside('useradd --system --home-dir /srv flux-runner').status, 0)
    for (const command of ['dpkg --install /root/flux-agent.deb', 'dpkg --purge flux-agent']) {
      const { status, output } = inside(command)
      assert.equal(status, 0, output)
    }
    assert.match(read('etc/passwd'), /^flux-runner:.*:\/srv:/m)
    assert.ok(existsSync(path('srv/precious/file')))
  })

  /** Runs a shell command in it, with processes and a network of its own. */
  function inside(command: string): { status: number | null; output: string } {
    const setUp = 'ip link set lo up && exec chroot "$0" sh -c "$1" 2>&1'
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', `--mount-proc=${path('proc')}`]
    const { status, stdout, stderr } = spawnSync('unshare', [...namespaces, 'sh', '-c', setUp, tree, command], {
      cwd: tree,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' },
      timeout: 300_000,
    })
    return { status, output: stdout + stderr }
  }

  function read(file: string): string {
    return readFileSync(path(file), 'utf8')
  }

  function files(): string[] {
    return output('find', tree, '-xdev', '-mindepth', '1', '-printf', '%P\n').trim().split('\n').sort()
  }
})
