import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { childrenOf } from '../../../harness/proc.js'
import { isRunning } from '../../../harness/processes.js'
import { platform } from '../../../src/os/index.js'
import type { ProcessStarter } from '../../../src/os/platform.js'
import { hold, how, request, run, script, start } from './processes.js'
import { STARTERS } from './starters.js'

/** The window of a process that is not kept, and the most that is read at once. */
const WINDOW_BYTES = 262_144
const READ_BYTES = 65_536
const O_CLOEXEC = 0o2000000
const isRoot = process.getuid?.() === 0

for (const { name, skip, kind, killsEscapees, setup } of STARTERS) {
  describe(`processes started by ${name}`, { skip }, () => {
    let dir: string
    let starter: ProcessStarter

    beforeEach(() => {
      dir = makeTempDir('flux-starter-')
      starter = platform.createStarter(setup(dir))
    })
    afterEach(() => starter.close())

    const outputOf = async (lines: string, changes = {}) =>
      (await run(starter, script(lines, changes))).output.toString()

    it('gives exactly the arguments, the environment and the folder asked for', async () => {
      const args = ['-c', 'printf "%s|" "$@"; cat /proc/$$/environ; pwd', 'sh', '', '-x', 'a b', '"\'\n', 'ü']
      const output = await outputOf('', { args, env: { ONE: '1', TWO: 'a=b' }, cwd: '/usr' })
      assert.equal(output, '|-x|a b|"\'\n|ü|ONE=1\0TWO=a=b\0/usr\n')
    })

    it('gives an empty stdin, one pipe for stdout and stderr, and nothing else that is open', async () => {
      const [stdin, stdout, stderr, ...others] = (
        await outputOf('for fd in /proc/$$/fd/*; do readlink $fd; done')
      ).split('\n')
      assert.equal(stdin, '/dev/null')
      assert.match(stdout ?? '', /fifo|pipe/)
      assert.equal(stderr, stdout)
      // What this process has been given itself, and the shell's own.
      const given = (kind === 'child_process' ? inherited() : []).concat('')
      assert.deepEqual(
        others.filter((target) => !given.includes(target) && !/^\/proc\/|^\/dev\/tty/.test(target)),
        [],
      )
      assert.equal(await outputOf('cat; echo end of stdin'), 'end of stdin\n')
    })

    it('keeps the order of stdout and stderr, through their names as well', async () => {
      const output = await outputOf('echo 1; echo 2 >&2; echo 3 >/dev/stdout; echo 4 >/dev/stderr; echo 5')
      assert.equal(output, '1\n2\n3\n4\n5\n')
    })

    it('makes the process the leader of a session and a group of its own', async () => {
      const { output, pid } = await run(starter, script('cat /proc/$$/stat'))
      const [, , group, session] = output.toString().split(') ')[1]?.split(' ') ?? []
      assert.deepEqual([group, session], [`${pid}`, `${pid}`])
    })

    it('makes it the first to go when memory runs out', async () => {
      const output = await outputOf('until grep -x 500 /proc/self/oom_score_adj; do sleep 0.01; done')
      assert.equal(output, '500\n')
    })

    it('tells nothing before start has returned', async () => {
      for (const file of ['/bin/sh', '/nowhere', 'x'.repeat(9_000_000)]) {
        let returned = false
        await new Promise<void>((resolve, reject) => {
          const check = () => (returned ? undefined : reject(new Error('told before start has returned')))
          const ended = () => {
            check()
            resolve()
          }
          starter.start(script('echo x', { file }), { started: check, output: check, ended })
          returned = true
        })
      }
    })

    for (const code of [0, 1, 7, 127, 255]) {
      it(`tells the exit code ${code}`, async () => {
        assert.deepEqual(how((await run(starter, script(`exit ${code}`))).end), { kind: 'exited', code })
      })
    }

    for (const signal of ['SIGHUP', 'SIGINT', 'SIGKILL', 'SIGSEGV', 'SIGTERM', 'SIGXCPU', 'SIGABRT', 'SIGPIPE']) {
      it(`tells the end by ${signal}`, async () => {
        const { end } = await run(starter, script(`kill -${signal.slice(3)} $$`))
        assert.deepEqual(how(end), { kind: 'killed', signal })
      })
    }

    it('kills the group at once, one that ignores SIGTERM and has children', async () => {
      const watched = await start(
        starter,
        script('trap "" TERM HUP INT; sleep 60 & echo $!; sleep 60 & echo $!; wait; wait'),
      )
      const pids = await eventually('both children run', () => watched.output().match(/\d+\n\d+\n/)?.[0])
      watched.process.kill('cancelled')
      assert.deepEqual(how((await watched.ended).end), { kind: 'killed', signal: 'SIGKILL', cause: 'cancelled' })
      for (const pid of pids.trim().split('\n')) assert.equal(isRunning(Number(pid)), false)
    })

    for (const [number, signal] of [
      [34, 'SIGRTMIN'],
      [40, 'SIGRTMIN+6'],
    ] as const) {
      const reason = kind === 'child_process' ? 'child_process does not tell it from exit code 0' : false
      it(`tells the end by ${signal}`, { skip: reason }, async () => {
        const { end } = await run(starter, script(`kill -${number} $$`))
        assert.deepEqual(how(end), { kind: 'killed', signal })
      })
    }

    it('tells what was used', { skip: kind === 'child_process' && 'child_process does not tell it' }, async () => {
      const { end } = await run(
        starter,
        script('i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 50000000 /dev/zero | tail -n 1'),
      )
      assert.ok(end.kind === 'exited' && end.use && end.use.cpuMs > 50 && end.use.cpuMs < 20_000, JSON.stringify(end))
      assert.ok(end.use.maxRssKb > 48_000 && end.use.maxRssKb < 200_000, JSON.stringify(end))
    })

    it('takes a kill after the end without harm', async () => {
      const watched = await start(starter, script('exit 3'))
      await watched.ended
      watched.process.kill('cancelled')
      watched.process.release(1000)
      watched.process.forget()
      assert.deepEqual(how((await watched.ended).end), { kind: 'exited', code: 3 })
    })

    it('ends with its leader: what is left in the group is killed, and what was written is read', async () => {
      const lines = 'sleep 60 & echo $!; head -c 61440 /dev/zero | tr "\\0" x; exit 4'
      const { output, end } = await run(starter, script(lines))
      assert.deepEqual(how(end), { kind: 'exited', code: 4 })
      const [pid, rest] = output.toString().split('\n')
      assert.equal(rest, 'x'.repeat(61_440))
      assert.equal(isRunning(Number(pid)), false)
    })

    it('kills a process that has left the group, or does not wait for it nor reads from it', async () => {
      const before = openDescriptors()
      const begun = performance.now()
      const [escaped, goOn] = [join(dir, 'escaped'), join(dir, 'go-on')]
      const late = `echo > ${escaped}; while [ -e ${escaped} ] && [ ! -e ${goOn} ]; do sleep 0.05; done; echo late; sleep 20`
      const lines = `setsid sh -c '${late}' & echo $!; until [ -e ${escaped} ]; do sleep 0.02; done`
      const watched = await start(starter, script(lines))
      await watched.ended
      assert.equal(isRunning(Number(watched.output())), !killsEscapees)
      writeFileSync(goOn, '')
      assert.ok(performance.now() - begun < 10_000)
      await eventually('its pipe is closed', () => openDescriptors() <= before)
      await sleep(500)
      assert.doesNotMatch(watched.output(), /late/)
    })

    it('tells the end when all of the group is dead, which for one with much memory takes a while', async () => {
      const watched = await start(starter, script('(head -c 250000000 /dev/zero; sleep 60) | tail & echo $!; wait'))
      const pid = Number(await eventually('the pid', () => watched.output()))
      await eventually('it holds the memory', () => residentBytes(pid) > 250_000_000)
      watched.process.kill('cancelled')
      await watched.ended
      assert.equal(isRunning(pid), false)
    })

    for (const cause of ['cancelled', 'hangup', 'stopped'] as const) {
      it(`tells for which cause it was killed first: ${cause}`, async () => {
        const watched = await start(starter, script('sleep 60', { timeoutMs: 60_000 }))
        watched.process.kill(cause)
        watched.process.kill('timeout')
        assert.deepEqual(how((await watched.ended).end), { kind: 'killed', signal: 'SIGKILL', cause })
      })
    }

    it('kills at the timeout, with all that was started, and tells how long it took', async () => {
      const begun = performance.now()
      const watched = await start(starter, script('sleep 60 & echo $!; wait', { timeoutMs: 300 }))
      const { end, output } = await watched.ended
      const elapsed = performance.now() - begun
      assert.deepEqual(how(end), { kind: 'killed', signal: 'SIGKILL', cause: 'timeout' })
      assert.ok(end.durationMs >= 300 && end.durationMs <= elapsed, `${end.durationMs} of ${elapsed} ms`)
      assert.equal(isRunning(Number(output)), false)
    })

    it('tells how long it took, and no cause, of one that ends before its timeout', async () => {
      const begun = performance.now()
      const { end } = await run(starter, script('sleep 0.2; exit 3', { timeoutMs: 60_000 }))
      const elapsed = performance.now() - begun
      assert.deepEqual(how(end), { kind: 'exited', code: 3 })
      assert.ok(end.durationMs >= 200 && end.durationMs <= elapsed, `${end.durationMs} of ${elapsed} ms`)
    })

    it('tells no cause of one that has ended before it is killed, which nobody knows yet', {
      skip: kind === 'child_process' && 'child_process cannot tell',
    }, async () => {
      const { pid, process, ended } = await start(starter, script('exit 3'))
      // Without a turn of the event loop, which would tell the end.
      while (isRunning(pid));
      process.kill('cancelled')
      assert.deepEqual(how((await ended).end), { kind: 'exited', code: 3 })
    })

    it('tells no duration of one that cannot be started', async () => {
      const { end } = await run(starter, script('', { file: '/nowhere', timeoutMs: 1 }))
      assert.deepEqual([end.kind, end.cause, end.durationMs], ['not started', undefined, 0])
    })

    it('reads no more than a window that nobody releases, which makes it wait, and all once that happens', async () => {
      const size = 1_000_000
      const mark = join(dir, 'written')
      const watched = hold(starter, script(`head -c ${size} /dev/zero; touch ${mark}`))
      await eventually('the window is full', () => watched.output().length >= WINDOW_BYTES)
      const before = watched.output().length
      assert.equal((await run(starter, script(`head -c ${size} /dev/zero`))).output.length, size)
      assert.equal(watched.output().length, before)
      assert.ok(before < WINDOW_BYTES + READ_BYTES, `${before} bytes`)
      assert.equal(existsSync(mark), false)
      watched.release()
      assert.equal((await watched.ended).output.length, size)
      assert.equal(existsSync(mark), true)
    })

    it('kills one whose output nobody releases', async () => {
      const watched = hold(starter, script('exec cat /dev/zero'))
      await eventually('the window is full', () => watched.output().length >= WINDOW_BYTES)
      watched.process.kill('cancelled')
      assert.deepEqual(how((await watched.ended).end), { kind: 'killed', signal: 'SIGKILL', cause: 'cancelled' })
    })

    it('reads all that was written by the end, though nobody releases it', async () => {
      // The window takes one part, the pipe the other.
      const size = WINDOW_BYTES + 60_000
      const { output, end } = await hold(starter, script(`head -c ${size} /dev/zero; echo end`)).ended
      assert.deepEqual(how(end), { kind: 'exited', code: 0 })
      assert.equal(output.length, size + 4)
      assert.equal(output.subarray(size).toString(), 'end\n')
    })

    it('keeps the outputs of many at once apart', async () => {
      const runs = Array.from({ length: 100 }, (_, i) => run(starter, script(`echo ${i}; sleep 0.1; echo ${i}`)))
      const outputs = (await Promise.all(runs)).map(({ output }) => output.toString())
      assert.deepEqual(
        outputs,
        Array.from({ length: 100 }, (_, i) => `${i}\n${i}\n`),
      )
    })

    it('starts nothing that is not wanted any more', async () => {
      const mark = join(dir, 'started')
      const starting = Array.from({ length: 20 }, () => request(starter, script(`touch ${mark}; sleep 60`)))
      for (const { process } of starting) process.kill('cancelled')
      for (const { ended } of starting) {
        assert.deepEqual((await ended).end, { kind: 'never started', cause: 'cancelled', durationMs: 0 })
      }
      await eventually('no child is left', () => functionsLeft() === 0)
      assert.equal(existsSync(mark), false)
    })

    it('leaves no descriptor, no zombie and no file behind', async () => {
      await run(starter, script('true'))
      const before = openDescriptors()
      for (let i = 0; i < 10; i++) {
        await Promise.all([
          ...Array.from({ length: 19 }, () => run(starter, script('echo x; exit 1'))),
          run(starter, script('sleep 60 & echo x')),
          run(starter, script('', { file: '/nowhere' })),
        ])
      }
      await eventually('every descriptor is closed', () => openDescriptors() <= before)
      await eventually('no child is left', () => functionsLeft() === 0)
      await starter.close()
      assert.deepEqual(childrenOf(process.pid), [])
      assert.deepEqual(
        readdirSync(dir, { recursive: true }).filter((name) => name !== 'run'),
        [],
      )
    })

    it('ends what still runs when it is closed', async () => {
      const watched = await start(starter, script('sleep 60 & echo $!; wait'))
      const child = await eventually('its child runs', () => watched.output())
      await starter.close()
      await watched.ended
      assert.equal(isRunning(Number(child)), false)
    })

    it('runs as another user, without the groups of this one', { skip: !isRoot }, async () => {
      const runAs = { name: 'nobody', uid: 65_534, gid: 65_534, home: '/nonexistent', groups: [] }
      const lines = 'id -u; id -g; id -G; grep Groups: /proc/$$/status; echo x >/dev/stdout && echo y >/dev/stderr'
      assert.equal(await outputOf(lines, { runAs }), '65534\n65534\n65534\nGroups:\t \nx\ny\n')
    })
  })
}

/** What the descriptors lead to that every child of this process gets, since its parent has left them open. */
function inherited(): string[] {
  const flagsOf = (fd: string) =>
    Number.parseInt(/flags:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8)
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return flagsOf(fd) & O_CLOEXEC ? [] : readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return []
    }
  })
}

function residentBytes(pid: number): number {
  const pages = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]
  return Number(pages) * 4096
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** Children of this process or of its launcher. */
function functionsLeft(): number {
  const children = childrenOf(process.pid)
  return children.flatMap((child) => (child.command === 'launcher' ? childrenOf(child.pid) : [child])).length
}
