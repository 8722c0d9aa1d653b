import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { CLI, makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { freePort } from '../../harness/free-port.js'
import { onExit } from '../../harness/on-exit.js'
import { openConnection } from '../../src/cli/connection.js'
import { noReload } from '../support/reload.js'

const isRoot = process.getuid?.() === 0
/** Each of them is a line of the log at each reload. */
const UNKNOWN_KEYS = 200
const RELOADS = 25

/** Standard error of an agent, read when the test wants. */
interface Reader {
  readonly fd: number | 'pipe'
  /** All there is so far. */
  read(): string
}

function fifo(): Reader {
  const path = join(makeTempDir('flux-log-'), 'fifo')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  const reading = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  let text = ''
  const buffer = Buffer.alloc(65_536)
  return {
    fd: openSync(path, 'w'),
    read() {
      try {
        for (;;) text += buffer.toString('utf8', 0, readSync(reading, buffer))
      } catch {
        return text
      }
    },
  }
}

async function start(t: TestContext, stderr: number | 'pipe') {
  const dir = makeTempDir('flux-log-')
  const file = join(dir, 'agent.yaml')
  // Of one line of the log each, whole or not.
  const unknown = Object.fromEntries(Array.from({ length: UNKNOWN_KEYS }, (_, i) => [`unknown_key_${i}`, 'x']))
  const config = { agent_id: 'a', host: '127.0.0.1', redis_addr: 'embedded', run_as: 'self', state_dir: dir }
  const port = await freePort()
  writeFileSync(file, JSON.stringify({ ...config, port, ...unknown }))
  const agent = spawn(process.execPath, [CLI, 'start', '--config', file], { stdio: ['ignore', 'ignore', stderr] })
  onExit(() => agent.kill('SIGKILL'))
  const connection = openConnection(`127.0.0.1:${port}`, credentials.createInsecure())
  t.after(() => {
    connection.close()
    agent.kill('SIGKILL')
  })
  return { agent, calls: new Calls(connection.agent) }
}

type Started = Awaited<ReturnType<typeof start>>

/** Has the agent say more than anybody takes; every call is answered meanwhile. */
async function flood({ agent, calls }: Started): Promise<void> {
  for (let i = 0; i < RELOADS; i++) {
    agent.kill('SIGHUP')
    assert.equal((await calls.health()).healthy, true)
  }
}

function assertWhole(log: string): { msg: string; dropped?: number }[] {
  const lines = log.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line))
}

describe('a log that nobody reads any more', { skip: noReload }, () => {
  it('holds up no call where it is a pipe, and tells what was dropped', { timeout: 90_000 }, async (t) => {
    const reader = fifo()
    const started = await start(t, reader.fd as number)
    await eventually('it serves', () => reader.read().includes('"serving"'), 30)
    await flood(started)
    await eventually('it tells', () => reader.read().includes('log lines were dropped'), 30)
    const told = assertWhole(reader.read()).find(({ dropped }) => dropped !== undefined)
    assert.ok((told?.dropped ?? 0) > 100, JSON.stringify(told))
    started.agent.kill('SIGTERM')
    await once(started.agent, 'exit')
    assert.equal(assertWhole(reader.read()).at(-1)?.msg, 'stopped')
  })

  it('holds up no call where it is a socket, as of the journal', { timeout: 90_000 }, async (t) => {
    const started = await start(t, 'pipe')
    let log = ''
    const stderr = started.agent.stderr as Socket
    stderr.setEncoding('utf8').on('data', (text) => {
      log += text
    })
    await eventually('it serves', () => log.includes('"serving"'), 30)
    stderr.pause()
    await flood(started)
    stderr.resume()
    await eventually('it tells', () => log.includes('log lines were dropped'), 30)
    assertWhole(log.slice(0, log.lastIndexOf('\n')))
  })

  it('is no reason to end where its reader has gone', { timeout: 90_000 }, async (t) => {
    const started = await start(t, 'pipe')
    await once(started.agent.stderr as Socket, 'data')
    started.agent.stderr?.destroy()
    await eventually('it serves', async () => (await started.calls.health()).healthy, 30)
    await flood(started)
    started.agent.kill('SIGTERM')
    assert.deepEqual(await once(started.agent, 'exit'), [0, null])
  })

  const onDisk = { skip: !isRoot && 'only root can mount', timeout: 90_000 }
  it('is no reason to end where its disk is full', onDisk, async (t) => {
    const disk = join(makeTempDir('flux-log-'), 'disk')
    mkdirSync(disk)
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]).status, 0)
    t.after(() => spawnSync('umount', ['-l', disk]))
    const path = join(disk, 'log')
    const fd = openSync(path, 'a')
    const started = await start(t, fd)
    closeSync(fd)
    await eventually('it serves', () => readFileSync(path, 'utf8').includes('"serving"'), 30)
    const ballast = join(disk, 'ballast')
    try {
      writeFileSync(ballast, Buffer.alloc(256 * 1024))
    } catch {
      // Full.
    }
    await flood(started)
    rmSync(ballast)
    spawnSync('mount', ['-o', 'remount,size=8m', disk])
    await eventually('it tells', () => readFileSync(path, 'utf8').includes('log lines were dropped'), 30)
    assertWhole(readFileSync(path, 'utf8').split('\n').slice(0, -1).join('\n'))
  })
})
