import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noServiceManager, ServiceManagerSocket } from '../support/service-manager.js'

const NOTIFIER = fileURLToPath(new URL('../../native/notifier', import.meta.url))
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

describe('the notifier', { skip: noServiceManager }, () => {
  let manager: ServiceManagerSocket
  before(async () => {
    manager = await ServiceManagerSocket.open()
    chmodSync(dirname(manager.address), 0o755)
    chmodSync(manager.address, 0o777)
  })
  after(() => manager.close())

  function start(socket: string, { pid = process.pid, uid }: { pid?: number; uid?: number } = {}) {
    return spawn(NOTIFIER, [String(pid)], {
      env: { NOTIFY_SOCKET: socket },
      stdio: ['pipe', 'ignore', 'pipe'],
      ...(uid !== undefined && { uid, gid: uid }),
    })
  }

  it('sends each state as one datagram, in order, however they come, and ends with its input', async () => {
    const notifier = start(manager.address)
    for (const part of ['A=1\nB=', '2\0C=3\0', 'D=4', '\0E=cut']) {
      await new Promise((resolve) => notifier.stdin.write(part, resolve))
    }
    notifier.stdin.end()
    const [code] = await once(notifier, 'close')
    assert.equal(code, 0)
    await manager.told(/^D=4$/)
    assert.deepEqual(
      manager.received.map(({ lines }) => lines),
      [['A=1', 'B=2'], ['C=3'], ['D=4']],
    )
  })

  it("sends in nobody else's name where it is not root", { skip: !isRoot && 'needs root' }, async () => {
    const notifier = start(manager.address, { uid: NOBODY })
    notifier.stdin.end('FROM=nobody\0')
    const { pid, uid } = await manager.told(/^FROM=nobody$/)
    assert.deepEqual([pid, uid], [notifier.pid, NOBODY])
  })

  it('is not stopped by what is meant to stop the agent', async () => {
    const notifier = start(manager.address)
    // It has set them up once it has sent.
    notifier.stdin.write('BEFORE=1\0')
    await manager.told(/^BEFORE=1$/)
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) notifier.kill(signal)
    notifier.stdin.end('AFTER=1\0')
    await manager.told(/^AFTER=1$/)
  })

  for (const [what, socket] of Object.entries({
    none: '',
    'one it does not know': 'vsock:2:1',
    'a long one': `/${'x'.repeat(108)}`,
  })) {
    it(`refuses an address that is ${what}`, async () => {
      const notifier = start(socket)
      const [[code], problem] = await Promise.all([once(notifier, 'close'), text(notifier.stderr)])
      assert.equal(code, 2)
      assert.match(problem, /usage: NOTIFY_SOCKET/)
    })
  }

  it('names a manager that is not there, once, and goes on', async () => {
    const notifier = start('/nowhere/at/all')
    notifier.stdin.end('A=1\0B=2\0')
    const [[code], problem] = await Promise.all([once(notifier, 'close'), text(notifier.stderr)])
    assert.equal(code, 0)
    assert.equal(problem, 'flux-agent notifier: the service manager is not told: No such file or directory\n')
  })

  it('refuses a state that is longer than systemd takes', async () => {
    const notifier = start(manager.address)
    notifier.stdin.on('error', () => {})
    notifier.stdin.end('x'.repeat(5000))
    const [code] = await once(notifier, 'close')
    assert.equal(code, 2)
  })
})
