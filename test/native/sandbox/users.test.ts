import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { installation } from '../../../src/installation.js'
import { Host } from './host.js'
import { mountsOf } from './mounts.js'
import { Folders, noSandbox, Sandbox, UID } from './sandbox-under-test.js'

/** Some of a hundred came between the host's steps. */
const CHECKS = 100
const NODE = `"${process.execPath}" -p 'JSON.stringify(os.userInfo())'`

/** A host whose users nobody else changes meanwhile: its /etc is a folder with copies. */
async function hostWithUsers(folders: Folders): Promise<{ readonly host: Host; readonly etc: string }> {
  const host = await Host.open()
  const etc = join(folders.dir, 'etc')
  host.run(`mkdir ${etc}; cp -a /etc/passwd /etc/group /etc/nsswitch.conf ${etc}; mount --bind ${etc} /etc`)
  return { host, etc }
}

describe('users in a sandbox', { skip: noSandbox }, () => {
  it("have the function's id under the runner's name, and its home", async () => {
    const folders = new Folders()
    const { host, etc } = await hostWithUsers(folders)
    const sandbox = await Sandbox.open(folders, { through: host.through, args: { user: 'runs-no-host' } })
    const line = `runs-no-host:x:${UID}:${UID}::${folders.homeAt}:/usr/sbin/nologin\n`
    assert.equal(sandbox.run('whoami; id -un; id -gn'), 'runs-no-host\nruns-no-host\nruns-no-host\n')
    assert.equal(sandbox.run(`getent passwd ${UID} runs-no-host`), line.repeat(2))
    assert.equal(sandbox.run(`getent group ${UID}`), `runs-no-host:x:${UID}:\n`)
    const { username, uid, gid, homedir } = JSON.parse(sandbox.run(NODE))
    assert.deepEqual(
      { username, uid, gid, homedir },
      { username: 'runs-no-host', uid: UID, gid: UID, homedir: folders.homeAt },
    )
    assert.equal(sandbox.run('echo ~runs-no-host'), `${folders.homeAt}\n`)
    for (const file of ['passwd', 'group']) {
      const own = readFileSync(`/proc/${sandbox.pid}/root/etc/${file}`, 'utf8')
      assert.equal(own.replace(/^runs-no-host:.*\n/m, ''), readFileSync(join(etc, file), 'utf8'))
      assert.equal(sandbox.run(`stat -c '%a %u' /etc/${file}`), '644 0\n')
      assert.match(sandbox.try(`echo x >>/etc/${file}`, 0).stderr, /Read-only file system/)
    }
    await sandbox.close()
    await host.close()
  })

  it('keep the shell that the host has for the runner', async () => {
    const folders = new Folders()
    const { host } = await hostWithUsers(folders)
    const sandbox = await Sandbox.open(folders, { through: host.through, args: { user: 'root' } })
    assert.match(sandbox.run(`getent passwd ${UID}`), /^root:x:\d+:\d+::.*:\/bin\/bash\n$/)
    assert.equal(sandbox.run('grep -c ^root: /etc/passwd /etc/group'), '/etc/passwd:1\n/etc/group:1\n')
    await sandbox.close()
    await host.close()
  })

  it('are there also where the host replaces its files in that moment', async () => {
    const { host } = await hostWithUsers(new Folders())
    const replace =
      'while (1) { open F, ">/etc/new"; print F "a:x:1:1::/:/\\n"; close F; rename "/etc/new", "/etc/passwd" }'
    const check = `"${installation.sandbox}" check network=host </dev/null`
    const lines = `perl -e '${replace}' & replacing=$!
      for i in $(seq ${CHECKS}); do ${check}; done | sort | uniq -c; kill $replacing`
    assert.match(host.run(lines), new RegExp(`^ *${CHECKS} ready\n$`))
    await host.close()
  })

  it('come back where the host has replaced its files, as useradd does', async () => {
    const folders = new Folders()
    const { host } = await hostWithUsers(folders)
    const sandbox = await Sandbox.open(folders, { through: host.through, args: { user: 'runs-no-host' } })
    const restore = () => {
      const namespace = openSync(`/proc/${sandbox.pid}/ns/mnt`, 'r')
      const args = [installation.sandbox, 'users', `uid=${UID}`, 'user=runs-no-host', `home_at=${folders.homeAt}`]
      const [program, ...rest] = [...host.through, ...args] as [string, ...string[]]
      const { status, stdout } = spawnSync(program, rest, { stdio: [namespace, 'pipe', 'inherit'], encoding: 'utf8' })
      closeSync(namespace)
      assert.deepEqual([status, stdout], [0, 'ready\n'])
    }
    const before = mountsOf(sandbox.pid, folders.dir)
    restore()
    assert.equal(mountsOf(sandbox.pid, folders.dir), before)
    host.run('cd /etc; cp -a passwd new; echo later:x:4242:4242::/:/bin/sh >>new; mv new passwd')
    assert.equal(sandbox.try('whoami').stdout, '')
    restore()
    assert.equal(sandbox.run('whoami; id -nu 4242; id -gn'), 'runs-no-host\nlater\nruns-no-host\n')
    assert.match(sandbox.try('echo x >>/etc/passwd', 0).stderr, /Read-only file system/)
    await sandbox.close()
    await host.close()
  })
})
