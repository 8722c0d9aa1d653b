import assert from 'node:assert/strict'
import { existsSync, readlinkSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { Host } from './host.js'
import { mountsOf } from './mounts.js'
import { Folders, noSandbox, Sandbox } from './sandbox-under-test.js'

const namespaces = (pid: number | 'self') =>
  ['mnt', 'ipc', 'net'].map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`))

describe('the host of a sandbox', { skip: noSandbox }, () => {
  let host: Host
  let folders: Folders
  let sandbox: Sandbox
  let mounts: string
  before(async () => {
    host = await Host.open()
    folders = new Folders()
    mounts = host.mounts(folders.dir)
    sandbox = await Sandbox.open(folders, { through: host.through })
  })
  after(async () => {
    await sandbox.close()
    await host.close()
  })

  it('has the mounts that it had, and the same namespaces', async () => {
    assert.equal(host.mounts(folders.dir), mounts)
    const own = [mountsOf('self', folders.dir), ...namespaces('self')]
    const other = await Sandbox.open(folders, { args: { network: 'none' } })
    assert.deepEqual([mountsOf('self', folders.dir), ...namespaces('self')], own)
    assert.equal(namespaces(other.pid).filter((one) => own.includes(one)).length, 0)
    assert.equal(await other.close(), 0)
    assert.deepEqual([mountsOf('self', folders.dir), ...namespaces('self')], own)
  })

  it('does not see what is mounted in the sandbox', () => {
    const places = ['/mnt', `${folders.apps}/mine`, folders.homeAt, '/tmp']
    for (const path of places) sandbox.run(`mount -t tmpfs inside ${path}`, 0)
    assert.equal(host.mounts(folders.dir), mounts)
    for (const path of places.reverse()) sandbox.run(`umount ${path}`, 0)
  })

  it('passes on what it mounts and unmounts later', () => {
    host.run('mount -t tmpfs later /mnt; echo x >/mnt/file')
    assert.equal(sandbox.run('cat /mnt/file'), 'x\n')
    host.run('umount /mnt')
    assert.equal(sandbox.run('ls /mnt | grep file || true'), '')
  })

  it('cannot uncover by that what is covered', () => {
    const places = [folders.apps, folders.state, folders.homeAt, '/var/tmp', '/tmp']
    sandbox.run(`echo mine >/var/tmp/mine; echo mine >${folders.homeAt}/mine`)
    for (const path of places) host.run(`mount -t tmpfs later ${path}`)
    assert.equal(sandbox.run(`cat /var/tmp/mine ${folders.homeAt}/mine`), 'mine\nmine\n')
    assert.equal(sandbox.try(`touch ${folders.state}/new`, 0).status, 1)
    for (const path of places.reverse()) host.run(`umount ${path}`)
    assert.equal(host.mounts(folders.dir), mounts)
    assert.equal(sandbox.run(`cat /var/tmp/mine ${folders.homeAt}/mine`), 'mine\nmine\n')
  })

  it('is kept from no folder by the end of it', async () => {
    const other = await Sandbox.open(folders, { through: host.through })
    assert.equal(await other.close(), 0)
    assert.equal(existsSync(`/proc/${other.pid}`), false)
    assert.equal(host.mounts(folders.dir), mounts)
  })

  it('may remove what the sandbox has mounted', async () => {
    const own = new Folders()
    const other = await Sandbox.open(own, { through: host.through })
    host.run(`rm -r ${own.dir}`)
    assert.equal(existsSync(own.dir), false)
    assert.equal(other.run('echo works'), 'works\n')
    assert.equal(await other.close(), 0)
  })
})
