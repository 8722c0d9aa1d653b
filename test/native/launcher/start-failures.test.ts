import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { Flag, type Start } from './frames.js'
import type { LaunchOptions } from './launcher-under-test.js'
import { cgroupsOf, describeEach, NOBODY, needsRoot } from './variants.js'

const { ENOENT, EACCES, ENOEXEC, E2BIG, ENOTDIR, ELOOP, ENAMETOOLONG, EINVAL, EPERM, EMFILE, EAGAIN, ENOTSUP } =
  constants.errno
const NPROC = 6

const dir = makeTempDir('flux-launcher-')
chmodSync(dir, 0o755)
const file = (name: string, contents: string | Buffer, mode: number) => {
  writeFileSync(join(dir, name), contents)
  chmodSync(join(dir, name), mode)
  return join(dir, name)
}
mkdirSync(join(dir, 'forbidden'), { mode: 0o700 })
symlinkSync('loop', join(dir, 'loop'))
file('true', '#!/bin/sh\n', 0o755)
const notExecutable = file('not-executable', '#!/bin/sh\n', 0o644)

const EXECS: [string, Start, number][] = [
  ['no such file', { file: '/nonexistent' }, ENOENT],
  ['an empty name', { file: '' }, ENOENT],
  ['a file that is not executable', { file: notExecutable }, EACCES],
  ['a folder', { file: dir }, EACCES],
  ['a file below a file', { file: '/etc/passwd/x' }, ENOTDIR],
  ['a loop of links', { file: join(dir, 'loop') }, ELOOP],
  ['too long a name', { file: `/${'x'.repeat(300)}` }, ENAMETOOLONG],
  ['text without an interpreter', { file: file('text', 'echo no\n', 0o755) }, ENOEXEC],
  ['an empty file', { file: file('empty', '', 0o755) }, ENOEXEC],
  ['half a binary', { file: file('half', Buffer.from('\x7fELF\x02\x01\x01'), 0o755) }, ENOEXEC],
  ['an interpreter that is not there', { file: file('bad', '#!/nonexistent\n', 0o755) }, ENOENT],
  ['an interpreter that is not executable', { file: file('bad2', `#!${notExecutable}\n`, 0o755) }, EACCES],
  ['too long an argument', { file: '/bin/true', argv: ['true', 'x'.repeat(200_000)] }, E2BIG],
  ['too many arguments', { file: '/bin/true', argv: Array(300_000).fill('argument') }, E2BIG],
  ['too large an environment', { file: '/bin/true', env: Array(80).fill(`X=${'x'.repeat(100_000)}`) }, E2BIG],
]

const FOLDERS: [string, string, number][] = [
  ['is not there', '/nonexistent', ENOENT],
  ['is a file', '/etc/passwd', ENOTDIR],
  ['has no name', '', ENOENT],
]

describeEach(
  'a start that fails',
  ({ launch, cgroups, sanitized }) => {
    const failure = (start: Start, options: LaunchOptions = {}, prefix: readonly string[] = []) =>
      launch(options, prefix).start(start).failed

    it('tells why a file cannot be executed, and the next start works', async () => {
      const launcher = launch()
      const failures = await Promise.all(EXECS.map(([, start]) => launcher.start(start).failed))
      for (const [i, [what, , errno]] of EXECS.entries()) assert.deepEqual(failures[i], { step: 'EXEC', errno }, what)
      assert.equal(await launcher.script('echo works').result(), 'works\n')
      assert.deepEqual(await launcher.list(), [])
    })

    it('tells why the folder cannot be entered', async () => {
      const launcher = launch()
      for (const [what, folder, errno] of FOLDERS) {
        const failed = await launcher.start({ file: '/bin/true', folder }).failed
        assert.deepEqual(failed, { step: 'FOLDER', errno }, `a folder that ${what}`)
      }
    })

    it('tells that the user may not enter or execute it', { skip: needsRoot }, async () => {
      const launcher = launch()
      const folder = join(dir, 'forbidden')
      const file = join(folder, 'program')
      writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 })
      assert.equal(await launcher.start({ file, folder }).result(), '')
      const entering = launcher.start({ file: '/bin/true', folder, user: NOBODY })
      assert.deepEqual(await entering.failed, { step: 'FOLDER', errno: EACCES })
      const executing = launcher.start({ file, user: NOBODY })
      assert.deepEqual(await executing.failed, { step: 'EXEC', errno: EACCES })
    })

    it('tells that only root may take on another user, which begins with its pipe', {
      skip: needsRoot || (cgroups && 'needs delegation'),
    }, async () => {
      const asOther = { file: '/bin/true', user: { uid: 1, gid: 1 } }
      assert.deepEqual(await failure(asOther, NOBODY), { step: 'PIPE', errno: EPERM })
    })

    it('tells which of groups, group and user is refused', { skip: needsRoot }, async () => {
      const groups = Array(65_537).fill(1)
      const tooMany = failure({ file: '/bin/true', user: { ...NOBODY, groups } })
      assert.deepEqual(await tooMany, { step: 'GROUPS', errno: EINVAL })
      const without = (capability: string) => ['setpriv', `--bounding-set=-${capability}`, `--inh-caps=-${capability}`]
      const user = { file: '/bin/true', user: NOBODY }
      assert.deepEqual(await failure(user, {}, without('setgid')), { step: 'GROUPS', errno: EPERM })
      assert.deepEqual(await failure(user, {}, without('setuid')), { step: 'UID', errno: EPERM })
    })

    it('tells that the oom_score_adj is none', async () => {
      assert.deepEqual(await failure({ file: '/bin/true', oomScore: 1001 }), { step: 'OOM_SCORE', errno: EINVAL })
    })

    it('tells that the resource of a limit is none', async () => {
      for (const resource of [16, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 7, 2n ** 64n - 1n]) {
        const failed = await failure({ file: '/bin/true', rlimits: [[resource, 1, 1]] })
        assert.deepEqual(failed, { step: 'RLIMIT', errno: EINVAL }, `${resource}`)
      }
    })

    it('tells that limits need cgroups and their controllers', async () => {
      const errno = cgroups ? ENOENT : ENOTSUP
      for (const limits of [{ memoryMax: 2 ** 26 }, { cpuMillicores: 500 }, { pidsMax: 10 }]) {
        const [outcome] = await Promise.all([launch().start({ file: '/bin/true', ...limits }).done])
        // Where there are the controllers, it runs.
        if (!cgroups || 'step' in outcome) assert.deepEqual(outcome, { step: 'CGROUP', errno })
      }
    })

    it('tells that there are no descriptors left, and starts again once there are', async () => {
      const launcher = launch({}, ['/bin/sh', '-c', 'ulimit -n 42; exec "$@"', 'sh'])
      const sleeps = Array.from({ length: 40 }, () => launcher.script('echo $$; exec sleep 60'))
      const answers = await Promise.all(sleeps.map(({ answered }) => answered))
      const failures = answers.filter((answer) => typeof answer !== 'number')
      assert.ok(failures.length > 0 && failures.length < 40, `${failures.length} of 40 failed`)
      for (const { step, errno } of failures) {
        assert.match(step, cgroups ? /^(PIPE|CGROUP|CLONE)$/ : /^(PIPE|CLONE)$/)
        assert.equal(errno, EMFILE)
      }
      if (!cgroups) assert.ok(failures.some(({ step }) => step === 'PIPE'))
      const made = cgroupsOf(launcher).length
      const running = sleeps.filter((_, i) => typeof answers[i] === 'number')
      launcher.kill(...running)
      await Promise.all(running.map(({ ended }) => ended))
      // Cgroups of starts that failed are there for the next ones.
      for (const _ of running) await launcher.script('').result()
      assert.ok(cgroupsOf(launcher).length <= made, `${cgroupsOf(launcher).length} cgroups after ${made}`)
      assert.equal(await launcher.script('echo works').result(), 'works\n')
    })

    it('tells that there may be no more processes of the user', { skip: needsRoot }, async () => {
      const launcher = launch()
      const first = launcher.script('exec sleep 60', { user: NOBODY })
      await first.started
      const second = launcher.start({ file: '/bin/true', user: NOBODY, rlimits: [[NPROC, 0, 0]] })
      assert.deepEqual(await second.failed, { step: 'EXEC', errno: EAGAIN })
      launcher.kill(first)
      await first.ended
    })

    it('tells that the launcher may have no more processes', {
      skip: needsRoot || (cgroups && 'needs delegation') || (sanitized && 'the leak check needs a process'),
    }, async () => {
      // Of two, its own second thread is one.
      const launcher = launch(NOBODY, ['prlimit', '--nproc=2:2'])
      assert.deepEqual(await launcher.start({ file: '/bin/true' }).failed, { step: 'CLONE', errno: EAGAIN })
      assert.deepEqual(await launcher.start({ file: '/bin/true' }).failed, { step: 'CLONE', errno: EAGAIN })
    })

    it('tells that the uid or gid is none, which for the kernel means to keep its own', {
      skip: needsRoot,
    }, async () => {
      const none = 2 ** 32 - 1
      const uid = failure({ file: '/bin/true', user: { uid: none, gid: NOBODY.gid } })
      assert.deepEqual(await uid, { step: 'UID', errno: EINVAL })
      const gid = failure({ file: '/bin/true', user: { uid: NOBODY.uid, gid: none } })
      assert.deepEqual(await gid, { step: 'GID', errno: EINVAL })
    })

    it('leaves no descriptor, zombie or cgroup behind, however often', async () => {
      const launcher = launch()
      const fail = async () => {
        const starts: Start[] = [
          { file: '/nonexistent' },
          { file: '/bin/true', folder: '/nonexistent' },
          { file: '/bin/true', rlimits: [[99, 1, 1]] },
          { file: '/bin/true', flags: Flag.noNewPrivs, folder: '' },
          // Runs where there are the controllers.
          { file: '/bin/true', pidsMax: 10 },
        ]
        await Promise.all(
          Array.from({ length: 50 }, () => starts)
            .flat()
            .map((start) => launcher.start(start).done),
        )
        return launcher.holdings()
      }
      // The kernel may hold up one for a while, so that several are under way at once, each with a cgroup.
      let before = await fail()
      await eventually('it has no more than before', async () => {
        const more = await fail()
        const isSo = more.descriptors <= before.descriptors && more.children === 0
        before = more
        return isSo
      })
      assert.ok(cgroupsOf(launcher).length <= 200)
    })
  },
  { fallbacks: true },
)
