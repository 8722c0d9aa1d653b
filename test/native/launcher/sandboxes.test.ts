import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { descriptorTargets, openDescriptors } from '../../../harness/proc.js'
import { platform } from '../../../src/os/index.js'
import { limitDescriptors, noPrlimit } from '../../support/descriptor-limit.js'
import { createUser, whileUsersStay } from '../../support/system-user.js'
import { helper } from './builds.js'
import { Cause, Flag, UsedUp } from './frames.js'
import { DEFAULT_ENV } from './marks.js'
import { FIRST_UID, Node, TMP_BYTES } from './node.js'
import { describeEach, isRoot, noLauncher } from './variants.js'

const noSandboxes = !isRoot ? 'needs root' : noLauncher || (platform.inspectIsolation().notSeparate ?? false)
const DESCRIPTORS = 2048
/** Of functions of which nothing runs, with so many descriptors. */
const MAX_HELD = 64
const FEW_DESCRIPTORS = 200
/** As above. */
const FEW_HELD = 6
const DISK_BYTES = 16 * 2 ** 20
const noDisk = noSandboxes || (platform.inspectIsolation('/tmp').unboundedDisk ?? false)
/** What is removed is so at the lowest priority, and the machine may have other work. */
const GONE_SECONDS = 60

/** Whose keys are locked from the first test on, until the machine starts anew. */
const LOCKED_UID = 2_049_999_999
/** Who never has any. */
const KEYLESS_UID = 2_049_999_998

const NAMESPACES = 'readlink /proc/self/ns/mnt /proc/self/ns/ipc'

/** Descriptors of mount namespaces. */
function mountsHeld(pid: number): string[] {
  return descriptorTargets(pid).flatMap(([fd, target]) => (target.startsWith('mnt:') ? [fd] : []))
}

if (!noSandboxes)
  describeEach('a sandbox', ({ launch }) => {
    const launchOn = (node: Node) => {
      const launcher = launch()
      node.tell(launcher)
      return launcher
    }

    it('is the same for all executions of a function, and another for another function', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const of = (name: string) => node.run(launcher, name, `id -u; ${NAMESPACES}`)
      const [first, again, other] = [await of('a'), await of('a'), await of('b')]
      assert.match(first, new RegExp(`^${node.uidOf('a')}\nmnt:`))
      assert.equal(again, first)
      for (const line of other.trim().split('\n')) assert.ok(!first.includes(line), line)
      const own = readFileSync('/proc/self/mountinfo', 'utf8')
      assert.doesNotMatch(own, /flux-sandboxes-/)
    })

    it('shares its files among executions that run at once, and is empty once none does', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const first = node.script(launcher, 'a', 'echo kept >/tmp/file; echo >/dev/shm/one; echo; exec sleep 60')
      await first.outputUntil('\n')
      assert.equal(await node.run(launcher, 'a', 'cat /tmp/file; ls /dev/shm'), 'kept\none\n')
      assert.equal(
        await node.run(launcher, 'b', 'ls /tmp | grep -v flux-; ls /dev/shm /var/tmp'),
        '/dev/shm:\n\n/var/tmp:\n',
      )
      launcher.kill(first)
      await first.ended
      assert.equal(await node.run(launcher, 'a', 'ls -A /tmp /dev/shm | grep -e file -e one || echo none'), 'none\n')
    })

    const host = join(makeTempDir('flux-host-'), 'file')
    writeFileSync(host, 'kept', { mode: 0o666 })
    const FEW = [
      ['a file', 'echo >/tmp/file'],
      ['folders in folders', 'umask 0; mkdir -p /tmp/a/b/c/d; echo >/tmp/a/b/c/d/file; echo >/tmp/a/other'],
      ['folders that their owner cannot open', 'mkdir -p /tmp/a/b; echo >/tmp/a/b/file; chmod 0 /tmp/a/b /tmp/a'],
      ['links', `ln -s ${host} /tmp/link; ln -s ${dirname(host)} /tmp/folder; echo >/tmp/one; ln /tmp/one /tmp/two`],
      ['a pipe and a name as "..."', 'mkfifo /tmp/pipe; echo >/tmp/...; echo >/tmp/.hidden'],
      ['folders fifty deep', 'cd /tmp; for i in $(seq 50); do mkdir d && cd d || exit; done'],
    ] as const
    for (const [what, lines] of FEW) {
      it(`is the same one, and empty, where it was left with ${what} in /tmp`, async () => {
        const node = new Node()
        const launcher = launchOn(node)
        const before = await node.run(launcher, 'a', NAMESPACES)
        assert.equal(await node.run(launcher, 'a', lines), '')
        assert.equal(await node.run(launcher, 'a', `ls -A /tmp | grep -v flux-; ${NAMESPACES}`), before)
        assert.equal(readFileSync(host, 'utf8'), 'kept')
      })
    }

    it('keeps what is mounted in its /tmp when that is emptied', async () => {
      const node = new Node()
      const launcher = launch()
      const home = `/tmp/flux-home-${process.pid}`
      node.tell(launcher, TMP_BYTES, 0, home)
      const left = `cd ${home} && echo kept >file && echo >/tmp/file`
      const before = await node.run(launcher, 'a', `${NAMESPACES}; ${left}`)
      const seen = `cat ${home}/file; ls -d ${node.apps}/a; ls -A /tmp | grep -v flux- || true`
      assert.equal(await node.run(launcher, 'a', `${NAMESPACES}; ${seen}`), `${before}kept\n${node.apps}/a\n`)
    })

    const MUCH = [
      ['many files', 'cd /tmp; seq 100 | xargs touch'],
      ['a large file', 'head -c 2M /dev/zero >/tmp/file'],
      ['a file in /dev/shm', 'echo >/dev/shm/file'],
      ['a file in /var/tmp, beside one in /tmp', 'echo >/var/tmp/file; echo >/tmp/file'],
    ] as const
    for (const [what, lines] of MUCH) {
      it(`is another one where it was left with ${what}`, async () => {
        const node = new Node()
        const launcher = launchOn(node)
        const before = await node.run(launcher, 'a', NAMESPACES)
        // It is held open, so that the next one cannot have its number.
        const held = openSync(`/proc/${launcher.pid}/fd/${mountsHeld(launcher.pid)[0]}`, 'r')
        assert.equal(await node.run(launcher, 'a', lines), '')
        const after = await node.run(
          launcher,
          'a',
          `ls -A /tmp /dev/shm /var/tmp | grep -v -e : -e flux-; ${NAMESPACES}`,
        )
        closeSync(held)
        assert.notEqual(after.trim().split('\n')[2], before.split('\n')[0])
        assert.match(after, /^\n\nmnt:/)
      })
    }

    const REMAINS = [
      ['a large file', 'set -C; head -c 2M /dev/zero >/tmp/file'],
      ['shared memory', 'ipcmk -M 4096 >&2'],
      ['a semaphore', 'ipcmk -S 1 >&2'],
      ['a message queue', 'ipcmk -Q >&2'],
      ['a POSIX message queue', '$CODE/queue /queue'],
    ] as const
    for (const [what, lines] of REMAINS) {
      it(`is made anew where ${what} is left in it`, async () => {
        const node = new Node()
        const launcher = launchOn(node)
        const [before, after] = [await node.run(launcher, 'a', NAMESPACES), await node.run(launcher, 'a', NAMESPACES)]
        assert.equal(before, after)
        // Two of them, since it cannot be made where there is one.
        copyFileSync(helper('queue'), join(node.apps, 'a', 'queue'))
        const left = lines.replace('$CODE', join(node.apps, 'a'))
        for (let i = 0; i < 2; i++) await node.run(launcher, 'a', left)
        assert.doesNotMatch(await node.run(launcher, 'a', 'ls /tmp; ipcs -m -s -q'), /file|0x/)
      })
    }

    it('is shared by launchers, also once the one that made it has nothing left of it', async () => {
      const node = new Node()
      const [one, two, three] = [launchOn(node), launchOn(node), launchOn(node)]
      const first = node.script(one, 'a', 'echo shared >/tmp/file; echo; exec sleep 60')
      await first.outputUntil('\n')
      const second = node.script(two, 'a', 'cat /tmp/file; exec sleep 60')
      assert.equal(await second.outputUntil('\n'), 'shared\n')
      one.kill(first)
      await first.ended
      assert.equal(await node.run(three, 'a', 'cat /tmp/file'), 'shared\n')
      two.kill(second)
      await second.ended
      for (const launcher of [one, two, three]) {
        assert.equal(await node.run(launcher, 'a', 'ls -A /tmp | grep file || echo none'), 'none\n')
      }
    })

    it('is not that of a launcher that has died', async () => {
      const node = new Node()
      const [one, two] = [launchOn(node), launchOn(node)]
      const first = node.script(one, 'a', 'echo >/tmp/file; echo; exec sleep 60')
      await first.outputUntil('\n')
      process.kill(one.pid, 'SIGKILL')
      await one.exited
      assert.equal(await node.run(two, 'a', 'ls /tmp | grep file || echo none'), 'none\n')
    })

    it('is another one for another plan, or where the folder of the code was made again', async () => {
      const node = new Node()
      const one = launchOn(node)
      const first = node.script(one, 'a', `${NAMESPACES}; exec sleep 60`)
      const [before] = (await first.outputUntil('ipc:')).split('\n')
      const two = launch()
      node.tell(two, 2 * TMP_BYTES)
      assert.notEqual((await node.run(two, 'a', NAMESPACES)).split('\n')[0], before)
      const three = launchOn(node)
      rmSync(join(node.apps, 'a'), { recursive: true })
      mkdirSync(join(node.apps, 'a'))
      chmodSync(join(node.apps, 'a'), 0o755)
      writeFileSync(join(node.apps, 'a', 'new'), '', { mode: 0o644 })
      assert.equal(await node.run(three, 'a', `ls ${node.apps}/a`), 'new\n')
    })

    it('has its users also once the host has replaced the files of its own', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const first = node.script(launcher, 'a', 'id -un; exec sleep 60')
      assert.equal(await first.outputUntil('\n'), 'flux-runner\n')
      createUser().remove()
      const names = await whileUsersStay(() => node.run(launcher, 'a', 'id -un; id -gn'))
      assert.equal(names, 'flux-runner\nflux-runner\n')
      launcher.kill(first)
      await first.ended
    })

    const keysOf = (node: Node, name: string) => {
      node.uidOf(name)
      copyFileSync(helper('keys'), join(node.apps, name, 'keys'))
      return join(node.apps, name, 'keys')
    }

    it('has no keys of another function that had the same user', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const keys = keysOf(node, 'a')
      assert.match(await node.run(launcher, 'a', `${keys} add && ${keys} list`), /^user\nsession\n/)
      assert.match(await node.run(launcher, 'a', `${keys} list`), /^user\nsession\n/)
      node.passOn('a', 'b')
      const others = keysOf(node, 'b')
      assert.equal(await node.run(launcher, 'b', `${others} list && ${others} add && echo added`), 'added\n')
    })

    it('leaves the kernel no keys to keep', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      node.give(KEYLESS_UID, 'a')
      assert.equal(await node.run(launcher, 'a', 'echo ran'), 'ran\n')
      assert.doesNotMatch(readFileSync('/proc/key-users', 'utf8'), new RegExp(`^ *${KEYLESS_UID}:`, 'm'))
    })

    it('is refused where the one before has locked its keys for good', async () => {
      const node = new Node()
      const launcher = launch({ says: /the sandbox of function b cannot be made: cannot clear the keys of user \d+,/ })
      node.tell(launcher)
      const as = ['--reuid', String(LOCKED_UID), '--regid', String(LOCKED_UID), '--clear-groups']
      const { status } = spawnSync('setpriv', [...as, helper('keys'), 'lock'])
      assert.equal(status, 0)
      node.give(LOCKED_UID, 'b')
      const { step, errno } = await node.script(launcher, 'b', 'true').failed
      assert.deepEqual([step, errno], ['SANDBOX', constants.errno.EACCES])
    })

    it('is bounded, and says so in no more than the error of a write', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const fill = node.script(launcher, 'a', `head -c ${2 * TMP_BYTES} /dev/zero >/tmp/file; ls -s /tmp/file`)
      assert.match(await fill.result(), /No space left on device/)
    })

    const FILL = `head -c ${2 * TMP_BYTES} /dev/zero`
    const ENDS: readonly (readonly [what: string, lines: string, usedUp: number])[] = [
      ['has filled its temporary files', `${FILL} >/tmp/file`, UsedUp.tmp],
      ['was killed by a signal', `${FILL} >/tmp/file; kill -SEGV $$`, UsedUp.tmp],
      ['has filled its shared memory', `${FILL} >/dev/shm/file`, UsedUp.tmp],
      ['has made as many files as it may', 'cd /tmp; seq 1 100000 | xargs touch', UsedUp.tmp],
      ['has filled them, and ends well', `${FILL} >/tmp/file; true`, 0],
      ['has filled half of them', `head -c ${TMP_BYTES / 2} /dev/zero >/tmp/file; false`, 0],
      ['has removed what it wrote', `${FILL} >/tmp/file; rm /tmp/file; false`, 0],
      ['has left nothing', 'exit 3', 0],
    ]
    for (const [what, lines, expected] of ENDS) {
      it(`tells at the end of an execution that ${what} ${expected ? 'what is used up' : 'of nothing used up'}`, async () => {
        const node = new Node()
        const launcher = launchOn(node)
        const { usedUp, exitCode, signal } = await node.script(launcher, 'a', lines).ended
        assert.equal(usedUp, expected)
        assert.equal(exitCode + signal !== 0, !lines.endsWith('true'))
        assert.equal((await node.script(launcher, 'b', 'false').ended).usedUp, 0)
      })
    }

    it('tells of nothing used up where the execution was killed for another cause', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const full = node.script(launcher, 'a', `${FILL} >/tmp/file; echo full; exec sleep 60`)
      await full.outputUntil('full\n')
      launcher.killFor(Cause.own, full)
      const { usedUp, signal } = await full.ended
      assert.deepEqual([usedUp, signal], [0, 9])
    })

    it('has the temporary folders of its executions on its bounded disk, and removes them', {
      skip: noDisk,
    }, async () => {
      const node = new Node()
      const tmpdirs = join(node.state, 'functions/tmp')
      mkdirSync(tmpdirs, { recursive: true })
      for (const dir of [node.state, join(node.state, 'functions'), tmpdirs]) chmodSync(dir, 0o711)
      const launchBounded = () => {
        const launcher = launch({ tmpdirs })
        node.tell(launcher, TMP_BYTES, DISK_BYTES)
        return launcher
      }
      const launcher = launchBounded()
      const uid = node.uidOf('a')
      const inTmpdir = {
        env: [...DEFAULT_ENV, 'TMPDIR=/tmp'],
        flags: Flag.tmpdir,
        user: { uid, gid: uid },
        sandbox: 'a',
      }
      const run = (lines: string, by = launcher) => by.script(`cd "$TMPDIR" || exit; ${lines}`, inTmpdir).result()
      const [first, again] = [await run('pwd'), await run('pwd')]
      assert.equal(again, first)
      assert.match(first, new RegExp(`^${tmpdirs}/[0-9a-f]{8}\n$`))
      const fill = launcher.script(`head -c ${2 * DISK_BYTES} /dev/zero >"$TMPDIR/file"`, inTmpdir)
      assert.equal((await fill.ended).usedUp, UsedUp.disk)
      assert.match(fill.output(), /No space left on device|Disk quota exceeded/)
      assert.notEqual(await run('pwd; ls -A'), first)
      const left = async () => Number((await run('stat -f -c %f .')).trim()) * 4096
      await eventually('its room is free again', async () => (await left()) > 0.8 * DISK_BYTES, GONE_SECONDS)
      const names = readdirSync(tmpdirs)
      assert.equal(names.length, 1, 'only the folder of the launcher')
      assert.deepEqual(readdirSync(join(tmpdirs, names[0] ?? '')), [])

      const killed = launchBounded()
      const writing = killed.script('echo >"$TMPDIR/file"; echo; exec sleep 60', inTmpdir)
      await writing.outputUntil('\n')
      for (const one of [launcher, killed]) {
        process.kill(one.pid, 'SIGKILL')
        await one.exited
      }
      const next = launchBounded()
      const found = `ls -d ${tmpdirs}/?*/file 2>&-; echo done`
      await eventually(
        'what a dead one has left is removed',
        async () => (await run(found, next)) === 'done\n',
        GONE_SECONDS,
      )
    })

    it('costs neither descriptors nor memory once many functions have run', { skip: noPrlimit }, async () => {
      const node = new Node()
      const launcher = launch()
      limitDescriptors(launcher.pid, DESCRIPTORS)
      node.tell(launcher)
      for (let i = 0; i < 20; i++) await node.run(launcher, `early-${i}`, 'true')
      const names = Array.from({ length: MAX_HELD + 20 }, (_, i) => `f${i}`)
      for (const name of names) await node.run(launcher, name, 'true')
      await eventually('those beyond are given up', () => openDescriptors(launcher.pid).length < DESCRIPTORS / 4 + 40)
      assert.equal(await node.run(launcher, 'early-0', 'id -u'), `${node.uidOf('early-0')}\n`)
    })

    it('is never that of another function, also where its place has been given to that one', async () => {
      const node = new Node()
      const launcher = launch()
      limitDescriptors(launcher.pid, FEW_DESCRIPTORS)
      node.tell(launcher)
      const names = Array.from({ length: 3 * FEW_HELD }, (_, i) => `f${i}`)
      for (let round = 0; round < 10; round++) {
        // By what is there, not by its user's name, which an execution lacks while another test adds a user to the node.
        for (const name of round % 2 === 0 ? names : names.toReversed())
          assert.equal(
            await node.run(launcher, name, `stat -c %u ${node.home}; cd ${node.apps}/${name} && pwd`),
            `${node.uidOf(name)}\n${node.apps}/${name}\n`,
          )
      }
    })

    it('is given up early where the launcher may open few files', { skip: noPrlimit }, async () => {
      const node = new Node()
      const launcher = launch()
      limitDescriptors(launcher.pid, FEW_DESCRIPTORS)
      node.tell(launcher)
      for (let i = 0; i < FEW_DESCRIPTORS / 4; i++)
        assert.equal(await node.run(launcher, `f${i}`, 'echo runs'), 'runs\n')
    })

    it('shuts an execution off from abstract sockets of others, and from their signals', async () => {
      const node = new Node()
      const launcher = launchOn(node)
      const name = `flux-test-${process.pid}`
      const server = spawn(process.execPath, [
        '-e',
        `require('net').createServer().listen('\\0${name}', () => console.log())`,
      ])
      onExit(() => server.kill('SIGKILL'))
      await new Promise((resolve) => server.stdout.once('data', resolve))
      const connect = `require('net').connect('\\\\0${name}').on('connect', () => { console.log('in'); process.exit() }).on('error', (e) => console.log(e.code))`
      assert.equal(await node.run(launcher, 'a', `${process.execPath} -e "${connect}"`), 'EPERM\n')
      server.kill()
    })

    it('is refused in one sentence where it cannot be made', { skip: false }, async () => {
      const node = new Node()
      const launcher = launch({ says: /the sandbox of function a cannot be made: / })
      node.tell(launcher)
      node.uidOf('a')
      rmSync(join(node.state, 'functions/homes/a'), { recursive: true })
      const { step, errno } = await node.script(launcher, 'a', 'true').failed
      assert.equal(step, 'SANDBOX')
      assert.notEqual(errno, 0)
      mkdirSync(join(node.state, 'functions/homes/a'))
      assert.equal(await node.run(launcher, 'a', 'echo now'), 'now\n')
    })

    it('is refused where no sandboxes were told of', async () => {
      const launcher = launch()
      const { step } = await launcher.script('true', { user: { uid: FIRST_UID, gid: FIRST_UID }, sandbox: 'a' }).failed
      assert.equal(step, 'SANDBOX')
    })
  })
else describe('a sandbox', { skip: noSandboxes }, () => {})
