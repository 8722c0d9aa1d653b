import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { Flag } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { DEFAULT_ENV } from './marks.js'
import { describeEach, isRoot, NOBODY } from './variants.js'

const user = isRoot ? { user: NOBODY } : {}
const withTmpdir = { env: [...DEFAULT_ENV, 'TMPDIR=/tmp'], flags: Flag.tmpdir, ...user }

/** What is removed is so at the lowest priority, and the machine may have other work. */
const GONE_SECONDS = 60

/** Each leaves something that is awkward to remove. */
const LEFT = [
  ['files and folders', 'mkdir -p a/b; echo x >a/b/c; echo x >.hidden; mkfifo fifo'],
  ['folders without rights', 'mkdir -p a/b/c; touch a/b/c/d; chmod 000 a/b/c; chmod 500 a/b; chmod 000 a'],
  ['a tree deeper than a path can be', `perl -e 'for (1..900) { mkdir("deep") && chdir("deep") || die }'`],
  ['many files', 'i=0; while [ $i -lt 2000 ]; do : >file$i; i=$((i+1)); done'],
  ['names as those that the launcher gives', 'mkdir -p ~0/~1/~2 a/~0 a/~1; touch ~3 ~0/~1/~2/~3'],
  ['itself without rights', 'touch x; chmod 000 .'],
] as const

describeEach('TMPDIR', ({ launch }) => {
  const makeFolder = () => {
    const dir = makeTempDir('flux-tmpdir-')
    for (const path of [dir, join(dir, 't')]) {
      mkdirSync(path, { recursive: true })
      chmodSync(path, 0o711)
    }
    return join(dir, 't')
  }
  const run = (launcher: Launcher, lines: string) =>
    launcher.script(`cd "$TMPDIR" || exit; ${lines}`, withTmpdir).result()
  const folderOf = async (launcher: Launcher, lines: string) =>
    (await run(launcher, `pwd; ${lines}`)).split('\n')[0] ?? ''

  it("is a folder of the execution's own, empty and closed to others", async () => {
    const tmpdirs = makeFolder()
    const launcher = launch({ tmpdirs })
    const executions = Array.from({ length: 5 }, () => launcher.script('echo $TMPDIR; sleep 60', withTmpdir))
    const dirs = await Promise.all(executions.map(async (one) => (await one.outputUntil('\n')).trim()))
    assert.equal(new Set(dirs).size, dirs.length)
    for (const dir of dirs) {
      assert.ok(dir.startsWith(`${tmpdirs}/`))
      const { mode, uid, gid } = statSync(dir)
      const { uid: own, gid: group } = isRoot ? NOBODY : { uid: process.getuid?.(), gid: process.getgid?.() }
      assert.deepEqual([mode & 0o7777, uid, gid], [0o700, own, group])
      assert.deepEqual(readdirSync(dir), [])
    }
    launcher.kill(...executions)
    await Promise.all(executions.map(({ ended }) => ended))
  })

  it('stays what the environment says where that is not asked for, or there is no folder', async () => {
    const env = withTmpdir.env
    assert.equal(
      await launch({ tmpdirs: makeFolder() })
        .script('echo $TMPDIR', { env, ...user })
        .result(),
      '/tmp\n',
    )
    assert.equal(await launch().script('echo $TMPDIR', withTmpdir).result(), '/tmp\n')
  })

  it('is given on as long as nothing is left in it, and no other', async () => {
    const launcher = launch({ tmpdirs: makeFolder() })
    const dir = await folderOf(launcher, '')
    assert.equal(await folderOf(launcher, ''), dir)
    for (const lines of [
      'touch file',
      'mkdir sub',
      'chmod 777 .',
      'touch -d 2020-01-01 .; chmod 710 .; ln -s / root',
    ]) {
      const before = await folderOf(launcher, lines)
      assert.notEqual(await folderOf(launcher, ''), before, lines)
      await eventually(`it is gone: ${lines}`, () => !existsSync(before), GONE_SECONDS)
    }
  })

  for (const [what, lines] of LEFT) {
    it(`is removed after its execution: ${what}`, async () => {
      const launcher = launch({ tmpdirs: makeFolder() })
      const dir = await folderOf(launcher, lines)
      await eventually('it is gone', () => !existsSync(dir), GONE_SECONDS)
      assert.notEqual(await folderOf(launcher, ''), dir)
    })
  }

  it('is removed without what links in it lead to', async () => {
    const launcher = launch({ tmpdirs: makeFolder() })
    const outside = makeTempDir('flux-outside-')
    chmodSync(outside, 0o777)
    mkdirSync(join(outside, 'folder'), { mode: 0o777 })
    const file = join(outside, 'folder', 'file')
    writeFileSync(file, 'kept')
    chmodSync(file, 0o640)
    const links = ['$1', '$1/folder', '$1/folder/file', '..', '/'].map((to, i) => `ln -s "${to}" link${i}`).join('; ')
    const execution = launcher.script(`cd $TMPDIR; pwd; ${links}; mkdir d; cp -P link* d`, withTmpdir, outside)
    const [dir = ''] = (await execution.result()).split('\n')
    await eventually('it is gone', () => !existsSync(dir), GONE_SECONDS)
    assert.equal(readFileSync(file, 'utf8'), 'kept')
    assert.equal(statSync(file).mode & 0o777, 0o640)
  })

  it('is removed after one that is killed as it writes', async () => {
    const launcher = launch({ tmpdirs: makeFolder() })
    const lines = 'cd $TMPDIR; pwd; i=0; while :; do mkdir -p $i/x; : >$i/x/y; i=$((i+1)); done'
    const execution = launcher.script(lines, withTmpdir)
    const dir = (await execution.outputUntil('\n')).trim()
    await eventually('it has written', () => readdirSync(dir).length > 20)
    launcher.kill(execution)
    await execution.ended
    await eventually('it is gone', () => !existsSync(dir), GONE_SECONDS)
  })

  it('of a launcher that was killed is removed by the next one, but not that of one that runs', async () => {
    const tmpdirs = makeFolder()
    const [killed, other] = [launch({ tmpdirs }), launch({ tmpdirs })]
    const holds = 'cd $TMPDIR; mkdir -p a/b; touch a/b/c; pwd; exec sleep 60'
    const [lost, kept] = [killed.script(holds, withTmpdir), other.script(holds, withTmpdir)]
    const [left = '', used = ''] = await Promise.all(
      [lost, kept].map(async (one) => (await one.outputUntil('\n')).trim()),
    )
    killed.signal('SIGKILL')
    await killed.exited
    const next = launch({ tmpdirs })
    await eventually('it is gone', () => !existsSync(left), GONE_SECONDS)
    assert.ok(existsSync(join(used, 'a/b/c')))
    assert.equal(await run(next, 'echo works'), 'works\n')
    other.kill(kept)
    await kept.ended
    await eventually('that one, too', () => !existsSync(used), GONE_SECONDS)
  })

  it('is not left where the launcher ends', async () => {
    const tmpdirs = makeFolder()
    const launcher = launch({ tmpdirs })
    for (let i = 0; i < 3; i++) await run(launcher, 'exit')
    launcher.stdin.end()
    await launcher.exited
    assert.deepEqual(readdirSync(tmpdirs), [])
  })
})
