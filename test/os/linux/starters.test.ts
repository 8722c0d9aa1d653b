import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { childrenOf } from '../../../harness/proc.js'
import { isRunning } from '../../../harness/processes.js'
import { platform } from '../../../src/os/index.js'
import type { ProcessEnd, ProcessStarter } from '../../../src/os/platform.js'
import { request, run, script, start } from './processes.js'
import { STARTERS } from './starters.js'

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
      watched.process.kill()
      assert.deepEqual(how((await watched.ended).end), { kind: 'killed', signal: 'SIGKILL' })
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
      watched.process.kill()
      watched.process.pause()
      watched.process.resume()
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
      const watched = await start(starter, script('setsid sh -c "sleep 0.4; echo late; sleep 20" & echo $!; sleep 0.1'))
      await watched.ended
      assert.equal(isRunning(Number(watched.output())), !killsEscapees)
      assert.ok(performance.now() - begun < 10_000)
      await eventually('its pipe is closed', () => openDescriptors() <= before)
      await sleep(500)
      assert.doesNotMatch(watched.output(), /late/)
    })

    it('tells the end when all of the group is dead, which for one with much memory takes a while', async () => {
      const watched = await start(starter, script('(head -c 250000000 /dev/zero; sleep 60) | tail & echo $!; wait'))
      const pid = Number(await eventually('the pid', () => watched.output()))
      await eventually('it holds the memory', () => residentBytes(pid) > 250_000_000)
      watched.process.kill()
      await watched.ended
      assert.equal(isRunning(pid), false)
    })

    it('reads nothing while paused, which makes the process wait, and everything afterwards', async () => {
      const size = 1_000_000
      const mark = join(dir, 'written')
      const watched = await start(starter, script(`head -c ${size} /dev/zero; touch ${mark}`))
      watched.process.pause()
      const before = watched.output().length
      await sleep(300)
      const underWay = kind === 'launcher' ? 262_144 : 0
      assert.ok(watched.output().length <= before + underWay, `${before} bytes grew to ${watched.output().length}`)
      assert.equal(existsSync(mark), watched.output().length >= size - 65_536)
      watched.process.resume()
      assert.equal((await watched.ended).output.length, size)
    })

    it('reads what was written by the end of one that is paused', async () => {
      const watched = await start(starter, script('sleep 0.2; echo all of it'))
      watched.process.pause()
      assert.equal((await watched.ended).output.toString(), 'all of it\n')
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
      for (const { process } of starting) process.kill()
      for (const { ended } of starting) assert.deepEqual((await ended).end, { kind: 'never started' })
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

function how(end: ProcessEnd): object {
  const { use, ...rest } = { use: undefined, ...end }
  return rest
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
