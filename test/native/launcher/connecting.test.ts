import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { openDescriptors } from '../../../harness/proc.js'
import { isRunning } from '../../../harness/processes.js'
import { dial } from './dial.js'
import { killFrame } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { describeEach, NOBODY, needsRoot } from './variants.js'
import { withinSeconds } from './within.js'

const SURVIVES = { survives: 60_000 }
const { EMFILE } = constants.errno
/** Connects, and prints how many bytes come before the other end closes. */
const VISITOR = `
  let bytes = 0
  const socket = require('net').connect(process.argv[1])
  socket.on('data', (chunk) => (bytes += chunk.length))
  socket.on('error', ({ code }) => console.log(code)).on('connect', () => socket.write('x'.repeat(16)))
  socket.on('close', () => console.log(bytes))
  setTimeout(() => socket.destroy(), 1000)`

describeEach('the socket of a launcher', ({ launch }) => {
  const socketOf = (launcher: Launcher) => launcher.options.socket as string

  /** Resolves to what has come once the launcher has closed it. */
  const closed = async (socket: Socket) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await withinSeconds('it is closed', 10, new Promise((resolve) => socket.once('close', resolve)))
    return Buffer.concat(chunks).length
  }

  it('has one connection at a time: each other is closed at once, and disturbs nothing', async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('echo one; sleep 60')
    await execution.outputUntil('one\n')
    for (let connection = 0; connection < 2; connection++) {
      const others = await Promise.all(Array.from({ length: 20 }, () => dial(socketOf(launcher))))
      for (const other of others) other.write(Buffer.alloc(100, 255))
      assert.deepEqual(await Promise.all(others.map(closed)), Array(20).fill(0))
      assert.equal((await launcher.list()).length, 1)
      launcher.disconnect()
      await launcher.connect()
      launcher.attach(execution)
      assert.ok(isRunning(await execution.started))
    }
  })

  it('takes the next connection at once, even where the end of the last is still to be seen', async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('sleep 60')
    await execution.started
    for (let round = 0; round < 20; round++) {
      launcher.signal('SIGSTOP')
      // What it has to read before the end.
      launcher.send(...Array.from({ length: 100 }, () => killFrame(4711)))
      launcher.disconnect()
      const next = launcher.connect()
      await new Promise(setImmediate)
      launcher.signal('SIGCONT')
      await next
      assert.equal((await launcher.list()).length, 1)
    }
  })

  it('takes the next connection where the last one is closed on one side, behind what it has to read', async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('sleep 60')
    await execution.started
    launcher.signal('SIGSTOP')
    launcher.requests.end(killFrame(4711))
    const next = await dial(socketOf(launcher))
    launcher.signal('SIGCONT')
    const [ready] = await withinSeconds('READY', 10, once(next, 'data'))
    assert.equal(ready.length, 24)
    next.destroy()
    launcher.disconnect()
  })

  it('is for the user that the launcher runs as alone', { skip: needsRoot }, async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('sleep 60')
    const pid = await execution.started
    assert.equal(statSync(socketOf(launcher)).mode & 0o777, 0o700)
    launcher.disconnect()
    const visit = async () => {
      const { uid, gid } = NOBODY
      const args = ['-e', VISITOR, socketOf(launcher)]
      const child = spawn(process.execPath, args, { uid, gid, stdio: ['ignore', 'pipe', 'ignore'] })
      const [output] = await Promise.all([(child.stdout as Socket).setEncoding('utf8').toArray(), once(child, 'close')])
      return output.join('').trim()
    }
    assert.equal(await visit(), 'EACCES\n0')
    // Even where the folder and the socket do not keep it out.
    chmodSync(dirname(socketOf(launcher)), 0o755)
    chmodSync(socketOf(launcher), 0o777)
    assert.match(await visit(), /^(ECONNRESET\n|EPIPE\n)?0$/)
    await launcher.connect()
    launcher.attach(execution)
    assert.equal(await execution.started, pid)
  })

  it('may have a path longer than an address, and nothing that everybody can read tells its folder', async () => {
    const folder = join(makeTempDir('flux-launcher-'), 'secret'.repeat(30))
    mkdirSync(folder)
    const launcher = launch({ ...SURVIVES, socket: join(folder, 'the.sock') })
    const execution = launcher.kept('pwd; sleep 60')
    assert.equal(await execution.outputUntil('\n'), '/\n')
    launcher.disconnect()
    await launcher.connect()
    assert.match(readFileSync('/proc/net/unix', 'latin1'), / the\.sock$/m)
    assert.doesNotMatch(readFileSync('/proc/net/unix', 'latin1'), /secret/)
    assert.doesNotMatch(readFileSync(`/proc/${launcher.pid}/cmdline`, 'latin1'), /secret/)
    launcher.attach(execution)
    assert.equal(execution.output(), '/\n')
  })

  it('has the same mode whatever the umask, and leaves that to what is started', async () => {
    const launcher = launch(SURVIVES, ['/bin/sh', '-c', 'umask 0; exec "$@"', 'sh'])
    await launcher.ready
    assert.equal(statSync(socketOf(launcher)).mode & 0o777, 0o700)
  })

  it('reaches no program that is started, nor does the connection', async () => {
    const launcher = launch(SURVIVES)
    const first = launcher.kept('ls /proc/self/fd; sleep 60')
    await first.outputUntil('\n')
    launcher.disconnect()
    await launcher.connect()
    const second = launcher.kept('sleep 60')
    const pid = await second.started
    // While it is loaded it has the files of its libraries, too.
    const descriptors = await eventually('it has three', () => {
      const open = openDescriptors(pid)
      return open.length === 3 ? open : undefined
    })
    assert.equal(descriptors[0], '/dev/null')
    assert.ok(descriptors.every((target) => !target.startsWith('socket:')))
  })

  it('is served though executions have taken all descriptors that they can', async () => {
    for (let limit = 40; limit < 47; limit++) {
      const launcher = launch(SURVIVES, ['/bin/sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh'])
      const executions = Array.from({ length: 40 }, () => launcher.kept('exec sleep 60'))
      const outcomes = await Promise.all(executions.map(({ answered }) => answered))
      assert.ok(outcomes.some((outcome) => typeof outcome !== 'number' && outcome.errno === EMFILE))
      assert.ok(outcomes.some((outcome) => typeof outcome === 'number'))
      launcher.disconnect()
      await launcher.connect()
      assert.equal((await launcher.list()).length, executions.length)
    }
  })

  it('costs nothing while nobody comes', async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('exec cat /dev/zero', { credit: 200_000 })
    await execution.started
    launcher.disconnect()
    await launcher.silent
    await launcher.idles()
    await launcher.connect()
    await eventually('the window is full', async () => (await launcher.list())[0]?.offset === 200_000)
  })
})
