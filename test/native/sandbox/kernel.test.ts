import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { Host } from './host.js'
import { Folders, noSandbox, OTHER, Sandbox, UID } from './sandbox-under-test.js'

/** mq_open(2) and mq_unlink(2), which perl has no functions for. */
const [MQ_OPEN, MQ_UNLINK] = process.arch === 'arm64' ? [180, 181] : [240, 241]
const queue = (name: string, flags: number) =>
  `perl -e '$n = "${name}"; print syscall(${MQ_OPEN}, $n, ${flags}, 0666, 0) < 0 ? "none" : "open"'`
const unlinking = (name: string) => `perl -e '$n = "${name}"; syscall(${MQ_UNLINK}, $n)'`
const CREATE = 0o102
const OPEN = 2

describe('processes in a sandbox', { skip: noSandbox }, () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await Sandbox.open()
  })
  after(() => sandbox.close())

  const start = (uid: number) => {
    const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
    return spawn('setpriv', [...user, '--', 'sh', '-c', 'echo on; exec sleep 5'], {
      env: { ...process.env, SECRET: 'x' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }

  it('see those of their own user, and no others', async () => {
    const started = [UID, OTHER].map(start)
    await Promise.all(started.map((child) => once(child.stdout, 'data')))
    const [own, other] = started.map(({ pid }) => pid) as [number, number]
    const seen = sandbox.run('ls /proc').split('\n').filter(Number)
    assert.ok(seen.includes(String(own)))
    for (const hidden of [1, other, process.pid, sandbox.pid]) {
      assert.equal(seen.includes(String(hidden)), false)
      assert.match(sandbox.try(`cat /proc/${hidden}/cmdline`).stderr, /No such file/)
      assert.match(sandbox.try(`ls /proc/${hidden}/root/`).stderr, /No such file/)
    }
    assert.match(sandbox.run(`tr '\\0' '\\n' </proc/${own}/environ`), /^SECRET=x$/m)
    assert.equal(sandbox.run('cat /proc/self/comm; ls /proc/self/fd >/dev/null'), 'cat\n')
    for (const child of started) child.kill('SIGKILL')
  })

  it('may not uncover what is covered, in user namespaces of their own either', async () => {
    const folders = new Folders()
    const own = await Sandbox.open(folders)
    const covered = ['/tmp', '/dev/shm', '/proc', '/etc/passwd', folders.homeAt, folders.apps, folders.state]
    for (const path of covered) {
      assert.notEqual(own.try(`umount ${path}`).status, 0, path)
      assert.notEqual(own.try(`unshare -Urm umount ${path}`).status, 0, path)
      assert.notEqual(own.try(`unshare -Urm umount -l ${path}`).status, 0, path)
    }
    // The namespace itself may be had: otherwise nothing above was tried.
    assert.equal(own.run('unshare -Urm id -u'), '0\n')
    const revealing = [
      'mount --bind / /mnt',
      'mount --bind /var /mnt',
      'mount --bind /etc /mnt',
      'mount -t proc p /mnt',
    ]
    for (const lines of revealing) assert.notEqual(own.try(`unshare -Urm ${lines}`).status, 0, lines)
    const copied = `ls -A /mnt/dev/shm; ls /mnt${folders.state}/functions/homes 2>&1 | grep -o "No such file"`
    assert.equal(own.run(`unshare -Urm sh -c 'mount --rbind / /mnt; ${copied}'`), 'No such file\n')
    assert.notEqual(own.try(`unshare -Urm sh -c 'mount -o remount,bind,rw ${folders.apps}/mine'`).status, 0)
    await own.close()
  })
})

describe('queues and segments in a sandbox', { skip: noSandbox }, () => {
  let first: Sandbox
  let second: Sandbox
  before(async () => {
    ;[first, second] = await Promise.all([Sandbox.open(), Sandbox.open()])
  })
  after(() => Promise.all([first.close(), second.close()]))

  it('of System V are its own', () => {
    const made = execFileSync('ipcmk', ['-M', '4096'], { encoding: 'utf8' }).match(/\d+/)?.[0] as string
    const list = 'ipcs -m; ipcs -q; ipcs -s'
    try {
      assert.equal(/0x/.test(first.run(list)), false)
      first.run('ipcmk -M 4096; ipcmk -Q; ipcmk -S 1')
      assert.equal(first.run(list).match(/0x/g)?.length, 3)
      assert.equal(/0x/.test(second.run(list)), false)
    } finally {
      execFileSync('ipcrm', ['-m', made])
    }
  })

  it('of POSIX are its own', () => {
    const name = `flux-sandbox-${process.pid}`
    const onHost = (lines: string) => spawnSync('sh', ['-c', lines], { encoding: 'utf8' }).stdout
    try {
      assert.equal(onHost(queue(name, CREATE)), 'open')
      assert.equal(first.run(queue(name, OPEN)), 'none')
      assert.equal(first.run(queue(name, CREATE)), 'open')
      assert.equal(first.run(queue(name, OPEN)), 'open')
      assert.equal(second.run(queue(name, OPEN)), 'none')
    } finally {
      onHost(unlinking(name))
    }
  })

  it('are shown in /dev/mqueue where the host has it', async () => {
    const host = await Host.open()
    host.run(
      'mount -t tmpfs dev /dev; mknod -m 666 /dev/null c 1 3; mkdir /dev/shm /dev/mqueue; chmod 1777 /dev/shm; mount -t mqueue host /dev/mqueue',
    )
    host.run(queue('of-host', CREATE))
    const sandbox = await Sandbox.open(new Folders(), { through: host.through })
    assert.equal(sandbox.run('ls /dev/mqueue'), '')
    sandbox.run(queue('own', CREATE))
    assert.equal(sandbox.run('ls /dev/mqueue'), 'own\n')
    assert.equal(sandbox.run('findmnt -n -o OPTIONS /dev/mqueue | tail -n 1'), 'rw,nosuid,nodev,noexec,relatime\n')
    await sandbox.close()
    host.run(unlinking('of-host'))
    await host.close()
  })
})

describe('the network of a sandbox', { skip: noSandbox }, () => {
  const interfaces = 'cut -s -d: -f1 /proc/net/dev | tr -d " "'

  it("is the host's", async () => {
    const sandbox = await Sandbox.open()
    assert.equal(sandbox.run(interfaces), execFileSync('sh', ['-c', interfaces], { encoding: 'utf8' }))
    await sandbox.close()
  })

  it('is none but its own loopback where that is asked for', async () => {
    const sandbox = await Sandbox.open(new Folders(), { args: { network: 'none' } })
    assert.equal(sandbox.run(interfaces), 'lo\n')
    const speak = `const server = net.createServer((one) => one.end("heard")).listen(0, "127.0.0.1", () =>
      net.connect(server.address().port, "127.0.0.1").on("data", (data) => { console.log(String(data)); process.exit() }))`
    assert.equal(sandbox.run(`"${process.execPath}" -e '${speak}'`), 'heard\n')
    const connect = 'net.connect(53, "192.0.2.1").on("error", ({ code }) => console.log(code))'
    assert.equal(sandbox.run(`"${process.execPath}" -e '${connect}'`), 'ENETUNREACH\n')
    await sandbox.close()
  })
})
