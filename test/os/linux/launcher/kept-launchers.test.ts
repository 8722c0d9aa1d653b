import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { makeTempDir } from '../../../../harness/agent.js'
import { eventually } from '../../../../harness/eventually.js'
import { killLaunchersAtExit, launchersBelow } from '../../../../harness/launchers.js'
import { isRunning } from '../../../../harness/processes.js'
import { platform } from '../../../../src/os/index.js'
import { killCgroup, removeTree } from '../../../../src/os/linux/cgroup-files.js'
import type { AdoptedProcesses, KeptLauncher, ProcessStarter } from '../../../../src/os/platform.js'
import { hold, how, run, script, start, watch } from '../processes.js'
import { type LauncherSetup, SURVIVING } from '../starters.js'

const KEPT_WINDOW_BYTES = 524_288
const NOTE = Buffer.from('a note: ü\0\xff', 'latin1')

for (const { name, skip, setup: setupIn } of SURVIVING) {
  describe(`${name}, kept for the next agent`, { skip }, () => {
    let dir: string
    let setup: LauncherSetup
    let first: ProcessStarter
    /** That of the first one. */
    let launcherPid: number
    /** Of agents that have not gone. */
    let open: ProcessStarter[]

    beforeEach(() => {
      dir = makeTempDir('flux-kept-')
      const tmpdirs = join(dir, 'tmp')
      mkdirSync(tmpdirs)
      killLaunchersAtExit(dir)
      // So that its launchers are found: they hide where their socket is.
      begin({ ...setupIn(dir), tmpdirs })
    })
    afterEach(async () => {
      await Promise.all(open.map((starter) => starter.close()))
      for (const pid of launchersBelow(dir)) process.kill(pid, 'SIGKILL')
      await eventually('no launcher is left', () => launchersBelow(dir).length === 0)
    })

    function begin(its: LauncherSetup): void {
      setup = its
      open = []
      first = agent()
      const [pid] = launchersBelow(dir)
      assert.ok(pid !== undefined)
      launcherPid = pid
    }

    function agent(): ProcessStarter {
      const starter = platform.createStarter(setup)
      open.push(starter)
      return starter
    }

    /** A script that goes on once `go()` is called. */
    const gated = (before: string, after: string) =>
      kept(`${before}; until [ -e ${join(dir, 'go')} ]; do sleep 0.01; done; ${after}`)
    const go = () => writeFileSync(join(dir, 'go'), '')
    const kept = (lines: string, changes = {}) => script(lines, { note: NOTE, ...changes })

    const socketOf = (launcher: string) => join(setup.scratchDir, `${launcher}.sock`)
    const cgroupOf = (launcher: string) => setup.cgroups && join(setup.cgroups.dir, launcher)

    /** The agent goes; answers its launcher as the next one finds it. */
    async function handOver(starter: ProcessStarter): Promise<KeptLauncher> {
      open = open.filter((other) => other !== starter)
      await starter.handOver()
      // Both agents are this process, so the launcher may see the second before the end of the first.
      return eventually('the launcher is found', async () => {
        const { launchers, problems } = await platform.keptLaunchers(setup.scratchDir)
        assert.deepEqual(problems, [])
        const launcher = launchers.find(({ processes }) => processes.length > 0)
        // That of an agent which had adopted another, and has started nothing itself.
        await Promise.all(launchers.map((other) => other !== launcher && other.leave()))
        // They come in no order.
        return launcher && { ...launcher, processes: launcher.processes.toSorted((a, b) => a.number - b.number) }
      })
    }

    async function adopt(starter: ProcessStarter, launcher: KeptLauncher): Promise<AdoptedProcesses> {
      await launcher.leave()
      return starter.adopt(launcher.name, launcher.processes.length)
    }

    async function assertGone(launcher: string): Promise<void> {
      await eventually('the launcher has left', () => !isRunning(launcherPid))
      const cgroup = cgroupOf(launcher)
      await eventually(
        'its files are removed',
        () => !existsSync(socketOf(launcher)) && !(cgroup && existsSync(cgroup)),
      )
    }

    const only = ({ processes }: KeptLauncher) => {
      assert.equal(processes.length, 1)
      return processes[0] as (typeof processes)[number]
    }

    it('goes on with a process: its pid, output and end are told to the next one, which leaves nothing', async () => {
      const begun = performance.now()
      const before = hold(first, gated('echo one', 'echo two; exit 3'))
      const pid = await before.started
      await eventually('it has written', () => before.output() === 'one\n')
      const launcher = await handOver(first)
      assert.deepEqual(
        { ...only(launcher), note: Buffer.from(only(launcher).note) },
        { number: only(launcher).number, pid, note: NOTE, keptFrom: 0, outputLength: 4 },
      )
      assert.equal(statSync(socketOf(launcher.name)).mode & 0o077, 0)
      const second = agent()
      const processes = await adopt(second, launcher)
      const after = watch((listener) => processes.attach(only(launcher).number, 0, listener))
      assert.equal(await after.started, pid)
      await eventually('its output is told again', () => after.output() === 'one\n')
      go()
      const { output, end } = await after.ended
      assert.equal(output.toString(), 'one\ntwo\n')
      assert.deepEqual(how(end), { kind: 'exited', code: 3 })
      assert.ok(end.durationMs > 10 && end.durationMs <= performance.now() - begun, `${end.durationMs} ms`)
      assert.equal(before.output(), 'one\n')
      after.release()
      after.process.forget()
      await assertGone(launcher.name)
      assert.equal((await run(second, script('echo next'))).output.toString(), 'next\n')
    })

    it('keeps of the output what was not released', async () => {
      const before = hold(first, gated('echo one; echo two', 'echo three'))
      await eventually('it has written', () => before.output() === 'one\ntwo\n')
      before.process.release(2)
      before.process.release(2)
      const launcher = await handOver(first)
      assert.deepEqual([only(launcher).keptFrom, only(launcher).outputLength], [4, 8])
      const processes = await adopt(agent(), launcher)
      const after = watch((listener) => processes.attach(only(launcher).number, 6, listener))
      go()
      assert.equal((await after.ended).output.toString(), 'o\nthree\n')
    })

    it('keeps an end that nobody was there for, also that of a start that failed', async () => {
      const ending = hold(first, gated('echo one', 'echo two; kill -9 $$'))
      await eventually('it has written', () => ending.output() === 'one\n')
      const unable = hold(first, kept('', { file: '/nowhere' }))
      await unable.ended
      const launcher = await handOver(first)
      assert.equal(launcher.processes.length, 2)
      await launcher.leave()
      go()
      await eventually('it has ended', () => !isRunning(launcher.processes[0]?.pid as number))
      const processes = agent().adopt(launcher.name, 2)
      const attached = launcher.processes.map(({ number, keptFrom }) =>
        watch((listener) => processes.attach(number, keptFrom, listener)),
      )
      assert.equal(await attached[0]?.started, launcher.processes[0]?.pid)
      const [ended, failed] = await Promise.all(attached.map((watched) => watched.ended))
      assert.equal(ended?.output.toString(), 'one\ntwo\n')
      assert.deepEqual(ended && how(ended.end), { kind: 'killed', signal: 'SIGKILL' })
      assert.ok(failed?.end.kind === 'not started' && failed.end.code === 'ENOENT' && failed.end.durationMs === 0)
    })

    it('passes output on byte for byte over any number of agents, whatever was safe and seen', async () => {
      const lines = 600_000
      const expected = Buffer.from(Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join(''))
      const parts = [1, 700_000, 1, 600_000, 123_457]
      let watched = hold(first, kept(`seq 1 ${lines}; exit 7`))
      let starter = first
      let offset = 0
      const seen = Buffer.alloc(expected.length)
      const note = () => Buffer.from(watched.output()).copy(seen, offset)
      for (const [nth, part] of parts.entries()) {
        // What is not released yet fills the window, so that more has to be released for a part that exceeds it.
        let released = 0
        await eventually(`part ${nth} has come`, () => {
          const length = watched.output().length
          if (length >= part) return true
          if (length - released >= KEPT_WINDOW_BYTES) {
            watched.process.release(length - released)
            released = length
          }
          return false
        })
        const length = watched.output().length
        const more = Math.floor(((length - released) * nth) / parts.length)
        watched.process.release(more)
        note()
        const launcher = await handOver(starter)
        const { number, keptFrom, outputLength } = only(launcher)
        assert.equal(keptFrom, offset + released + more)
        assert.ok(outputLength >= offset + length)
        offset = keptFrom + Math.floor(((offset + length - keptFrom) * (nth + 1)) / parts.length)
        starter = agent()
        const processes = await adopt(starter, launcher)
        watched = watch((listener) => processes.attach(number, offset, listener))
      }
      watched.release()
      const { end } = await watched.ended
      note()
      assert.deepEqual(how(end), { kind: 'exited', code: 7 })
      assert.equal(offset + watched.output().length, expected.length)
      assert.ok(seen.equals(expected))
    })

    it('lets a process that floods wait for the next agent', async () => {
      const size = 1_500_000
      hold(first, kept(`head -c ${size} /dev/zero; touch ${join(dir, 'written')}`))
      const launcher = await handOver(first)
      // What runs beside it would otherwise have been overtaken.
      assert.equal((await run(agent(), script(`head -c ${size} /dev/zero`))).output.length, size)
      assert.equal(existsSync(join(dir, 'written')), false)
      const processes = await adopt(agent(), launcher)
      const after = watch((listener) => processes.attach(only(launcher).number, 0, listener))
      after.release()
      assert.equal((await after.ended).output.length, size)
    })

    it('ends at once what is not to be kept', async () => {
      const [lost, left] = [await start(first, script('sleep 60')), await start(first, kept('exec sleep 60'))]
      const launcher = await handOver(first)
      await eventually('it is dead', () => !isRunning(lost.pid))
      assert.equal(only(launcher).pid, left.pid)
      assert.equal(isRunning(left.pid), true)
      await launcher.end()
    })

    it('keeps the timeout, with what is left of it', async () => {
      const { pid } = await start(first, kept('exec sleep 60', { timeoutMs: 500 }))
      const launcher = await handOver(first)
      await eventually('it is dead', () => !isRunning(pid))
      const processes = await adopt(agent(), launcher)
      const { end } = await watch((listener) => processes.attach(only(launcher).number, 0, listener)).ended
      assert.deepEqual(how(end), { kind: 'killed', signal: 'SIGKILL', cause: 'timeout' })
      assert.ok(end.durationMs >= 500 && end.durationMs < 10_000, `${end.durationMs} ms`)
    })

    it('tells the cause for which the agent before, or this one, has killed it first', async () => {
      const all = await Promise.all([1, 2, 3].map(() => start(first, kept('exec sleep 60'))))
      all[0]?.process.kill('cancelled')
      const launcher = await handOver(first)
      const processes = await adopt(agent(), launcher)
      const { processes: listed } = launcher
      processes.kill(listed[1]?.number as number, 'hangup')
      const attached = listed.map(({ number }) => watch((listener) => processes.attach(number, 0, listener)))
      for (const { process } of attached) process.kill('stopped')
      const ends = await Promise.all(attached.map(({ ended }) => ended))
      assert.deepEqual(
        ends.map(({ end }) => end.cause),
        ['cancelled', 'hangup', 'stopped'],
      )
    })

    it('stays while a process is not attached yet, though the others are forgotten', async () => {
      const [, waiting] = [await start(first, kept('exit 1')), await start(first, kept('exec sleep 60'))]
      const launcher = await handOver(first)
      const [over, rest] = launcher.processes
      const processes = await adopt(agent(), launcher)
      const ended = watch((listener) => processes.attach(over?.number as number, 0, listener))
      await ended.ended
      ended.process.forget()
      const after = watch((listener) => processes.attach(rest?.number as number, 0, listener))
      assert.equal(await after.started, waiting.pid)
      assert.equal(isRunning(waiting.pid), true)
      after.process.kill('cancelled')
      assert.equal((await after.ended).end.cause, 'cancelled')
      after.process.forget()
      await assertGone(launcher.name)
    })

    it('is nobody else’s while its agent lives, which does not notice', async () => {
      const watched = hold(first, gated('echo one', 'echo two'))
      await eventually('it has written', () => watched.output() === 'one\n')
      const before = readdirSync(setup.scratchDir)
      const found = await Promise.all([1, 2, 3].map(() => platform.keptLaunchers(setup.scratchDir)))
      assert.deepEqual(found, Array(3).fill({ launchers: [], problems: [] }))
      assert.deepEqual(readdirSync(setup.scratchDir), before)
      go()
      assert.equal((await watched.ended).output.toString(), 'one\ntwo\n')
    })

    it('is nobody else’s while the next agent looks at it', async () => {
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      assert.deepEqual(await platform.keptLaunchers(setup.scratchDir), { launchers: [], problems: [] })
      assert.equal(isRunning(pid), true)
      await launcher.end()
      assert.equal(isRunning(pid), false)
    })

    it('is waited for by the one that adopts it, while somebody looks at it once more', async () => {
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      const processes = agent().adopt(launcher.name, 1)
      const watched = watch((listener) => processes.attach(only(launcher).number, 0, listener))
      processes.kill(only(launcher).number, 'cancelled')
      // The launcher has refused another one since.
      assert.deepEqual(await platform.keptLaunchers(setup.scratchDir), { launchers: [], problems: [] })
      assert.equal(isRunning(pid), true)
      await launcher.leave()
      assert.equal(await watched.started, pid)
      assert.equal((await watched.ended).end.cause, 'cancelled')
    })

    it('can be ended, with what it runs', async () => {
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      await launcher.end()
      assert.equal(isRunning(pid), false)
      assert.equal(existsSync(socketOf(launcher.name)), false)
      await eventually('it has left', () => !isRunning(launcherPid))
    })

    it('is closed with the agent that has adopted it, which is told the ends', async () => {
      await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      const second = agent()
      const processes = await adopt(second, launcher)
      const watched = watch((listener) => processes.attach(only(launcher).number, 0, listener))
      await watched.started
      await second.close()
      assert.deepEqual(how((await watched.ended).end), { kind: 'killed', signal: 'SIGKILL' })
      await assertGone(launcher.name)
    })

    it('leaves by itself once its agent has gone and it keeps nothing', async () => {
      assert.equal((await run(first, script('echo x'))).end.kind, 'exited')
      const forgotten = await start(first, kept('echo x'))
      await forgotten.ended
      const [socket = ''] = readdirSync(setup.scratchDir)
      forgotten.process.forget()
      open = []
      await first.handOver()
      await assertGone(socket.replace('.sock', ''))
    })

    it('leaves nothing where nobody comes in time', async () => {
      await first.close()
      begin({ ...setup, surviveMs: 200 })
      const { pid } = await start(first, kept('setsid sleep 60 & echo $!; sleep 60'))
      const [socket = ''] = readdirSync(setup.scratchDir)
      open = []
      await first.handOver()
      await assertGone(socket.replace('.sock', ''))
      assert.equal(isRunning(pid), false)
    })

    it('that is killed while nobody is there is not found, and its socket is removed', async () => {
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      await launcher.leave()
      process.kill(launcherPid, 'SIGKILL')
      await eventually('its socket is removed', async () => {
        assert.deepEqual(await platform.keptLaunchers(setup.scratchDir), { launchers: [], problems: [] })
        return !existsSync(socketOf(launcher.name))
      })
      if (isRunning(pid)) process.kill(pid, 'SIGKILL')
      await eventually('its process is dead', () => !isRunning(pid))
      // As the next start does.
      const cgroup = cgroupOf(launcher.name)
      if (!cgroup) return
      killCgroup(cgroup)
      await eventually('its cgroup is removed', () => removeTree(cgroup))
    })

    it('that dies is the end of what was adopted, and of what is attached later', async () => {
      const [one, two] = [await start(first, kept('exec sleep 60')), await start(first, kept('exec sleep 60'))]
      const launcher = await handOver(first)
      const second = agent()
      const processes = await adopt(second, launcher)
      const [before, after] = launcher.processes
      const attached = watch((listener) => processes.attach(before?.number as number, 0, listener))
      assert.equal(await attached.started, one.pid)
      process.kill(launcherPid, 'SIGKILL')
      assert.equal((await attached.ended).end.kind, 'lost')
      assert.equal(isRunning(one.pid), false)
      assert.equal(existsSync(socketOf(launcher.name)), false)
      const late = watch((listener) => processes.attach(after?.number as number, 0, listener))
      assert.equal((await late.ended).end.kind, 'lost')
      await eventually('it is dead, too', () => !isRunning(two.pid))
      assert.equal((await run(second, script('echo next'))).output.toString(), 'next\n')
    })

    it('that died before it was adopted is the end of what is attached', async () => {
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      await launcher.leave()
      process.kill(launcherPid, 'SIGKILL')
      await eventually('it is dead', () => !isRunning(launcherPid))
      const processes = agent().adopt(launcher.name, 1)
      const { end } = await watch((listener) => processes.attach(only(launcher).number, 0, listener)).ended
      assert.ok(end.kind === 'lost' || end.kind === 'not started', JSON.stringify(end))
      await eventually('it is dead, too', () => !isRunning(pid))
    })

    it('is found in a folder whose path is longer than an address may be', async () => {
      await first.close()
      begin({ ...setup, scratchDir: join(dir, 'x'.repeat(100), 'y'.repeat(100)) })
      const { pid } = await start(first, kept('exec sleep 60'))
      const launcher = await handOver(first)
      assert.equal(only(launcher).pid, pid)
      await launcher.end()
    })
  })
}

describe('launchers that are none of this version', { skip: process.platform !== 'linux' && 'not Linux' }, () => {
  let dir: string
  let server: Server | undefined

  beforeEach(() => {
    dir = makeTempDir('flux-kept-')
  })
  afterEach(() => server?.close())

  /** Listens as a launcher does, and answers what it is sent. */
  async function listen(accept: (socket: Socket) => void): Promise<void> {
    server = createServer(accept)
    server.listen(join(dir, 'strange.sock'))
    await once(server, 'listening')
  }

  it('are none where there is no folder, or no socket in it', async () => {
    assert.deepEqual(await platform.keptLaunchers(join(dir, 'nowhere')), { launchers: [], problems: [] })
    writeFileSync(join(dir, 'file'), '')
    assert.deepEqual(await platform.keptLaunchers(dir), { launchers: [], problems: [] })
    assert.deepEqual(readdirSync(dir), ['file'])
  })

  it('are told to leave, which is a problem to tell of', async () => {
    const requests: Buffer[] = []
    await listen((socket) => {
      socket.write(readyOf(99))
      socket.on('data', (bytes: Buffer) => {
        requests.push(bytes)
        socket.end()
      })
    })
    const { launchers, problems } = await platform.keptLaunchers(dir)
    assert.deepEqual(launchers, [])
    assert.deepEqual(problems, [
      'launcher strange of an earlier agent cannot be taken over, and what it ran is ended: it speaks version 99, this agent 4',
    ])
    // LEAVE: no payload, type 7, id 0.
    assert.deepEqual(Buffer.concat(requests), Buffer.from([0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    assert.deepEqual(readdirSync(dir), [])
  })

  it('are left alone where they hang up at once, as one does that has an agent', async () => {
    await listen((socket) => socket.destroy())
    assert.deepEqual(await platform.keptLaunchers(dir), { launchers: [], problems: [] })
    assert.deepEqual(readdirSync(dir), ['strange.sock'])
  })

  it('are left out where they are mere files', async () => {
    writeFileSync(join(dir, 'file.sock'), '')
    assert.deepEqual(await platform.keptLaunchers(dir), { launchers: [], problems: [] })
  })
})

/** A READY frame. */
function readyOf(version: number): Buffer {
  const frame = Buffer.alloc(24)
  frame.writeUInt32LE(8, 0)
  frame.writeUInt32LE(16, 4)
  frame.writeUInt32LE(version, 16)
  return frame
}
