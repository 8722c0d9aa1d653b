import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { Flag, NO_LIMIT, type Start } from './frames.js'
import { describeEach, NOBODY, needsRoot } from './variants.js'

/** Shell: the number of the session keyring (KEYCTL_GET_KEYRING_ID of keyctl(2)). */
const KEYRING = `perl -e 'print syscall(${process.arch === 'x64' ? 250 : 219}, 0, -3, 0), "\\n"'`
const noKeyrings =
  Number(execFileSync('/bin/sh', ['-c', KEYRING])) > 0 ? false : 'the kernel, or a filter, has no keyrings here'

const RLIMIT = { fsize: 1, data: 2, stack: 3, core: 4, nofile: 7, locks: 10 } as const

describeEach('a program', ({ launch, cgroups }) => {
  const run = (lines: string, changes: Partial<Start> = {}) => launch().script(lines, changes).result()
  const status = async (field: string, changes: Partial<Start> = {}) => {
    const text = await run('cat /proc/$$/status', changes)
    return new RegExp(`^${field}:\\s*(.*?)\\s*$`, 'm').exec(text)?.[1]
  }
  const limit = async (name: string, changes: Partial<Start>, prefix: readonly string[] = []) => {
    const launcher = launch({}, prefix)
    const text = await launcher.script('cat /proc/$$/limits', changes).result()
    return new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(text)?.slice(1)
  }

  it('has exactly the arguments asked for', async () => {
    const argv = ['another name', '-c', 'cat /proc/$$/cmdline', '', '-x', 'a b', '"\'\n', 'ü', 'x'.repeat(100_000)]
    const output = await launch().start({ file: '/bin/sh', argv }).result()
    assert.equal(output, argv.map((arg) => `${arg}\0`).join(''))
  })

  it('has exactly the environment asked for, in its order', async () => {
    const env = ['TWO=a=b', 'ONE=1', 'EMPTY=', 'without a value', 'TWO=again', `LONG=${'x'.repeat(100_000)}`]
    assert.equal(await run('cat /proc/$$/environ', { env }), env.map((entry) => `${entry}\0`).join(''))
    assert.equal(await run('cat /proc/$$/environ', { env: [] }), '')
  })

  it('has the folder asked for, also to find a file by a relative path', async () => {
    assert.equal(await run('pwd', { folder: '/usr/share' }), '/usr/share\n')
    const output = await launch().start({ file: 'bin/pwd', folder: '/usr' }).result()
    assert.equal(output, '/usr\n')
  })

  it('has the umask asked for', async () => {
    assert.equal(await run('umask', { umask: 0o027 }), '0027\n')
    assert.equal(await run('umask', { umask: 0 }), '0000\n')
  })

  it('has a session keyring of its own, and its children with it', { skip: noKeyrings }, async () => {
    const launcher = launch()
    const keyring = async () => {
      const [own, child, ...rest] = (await launcher.script(`${KEYRING}; (${KEYRING})`).result()).split('\n')
      assert.deepEqual([own, rest], [child, ['']])
      return Number(own)
    }
    const keyrings = [Number(execFileSync('/bin/sh', ['-c', KEYRING])), await keyring(), await keyring()]
    assert.equal(new Set(keyrings).size, keyrings.length)
  })

  it('has the limits asked for', async () => {
    const rlimits = [
      [RLIMIT.core, 0, 4096],
      [RLIMIT.fsize, 5_000_000_000, NO_LIMIT],
    ] as const
    // Last, since it is what everything here inherits.
    const prefix = ['/bin/sh', '-c', 'ulimit -c unlimited 2>/dev/null; exec "$@"', 'sh']
    assert.deepEqual(await limit('Max file size', { rlimits }), ['5000000000', 'unlimited'])
    assert.deepEqual((await limit('Max core file size', { rlimits }, prefix))?.[0], '0')
    assert.deepEqual(await limit('Max data size', { rlimits: [[RLIMIT.data, 1e9, 2e9]] }), ['1000000000', '2000000000'])
  })

  it('has no limit above that of the launcher itself', async () => {
    const prefix = ['/bin/sh', '-c', 'ulimit -n 300; exec "$@"', 'sh']
    const limits = (soft: number | bigint, hard: number | bigint) =>
      limit('Max open files', { rlimits: [[RLIMIT.nofile, soft, hard]] }, prefix)
    assert.deepEqual(await limits(1024, 524_288), ['300', '300'])
    assert.deepEqual(await limits(100, NO_LIMIT), ['100', '300'])
    assert.deepEqual(await limits(NO_LIMIT, NO_LIMIT), ['300', '300'])
    assert.deepEqual(await limits(1024, 200), ['200', '200'])
  })

  it('has the oom_score_adj asked for', async () => {
    assert.equal(await run('cat /proc/$$/oom_score_adj', { oomScore: 500 }), '500\n')
    assert.equal(await run('cat /proc/$$/oom_score_adj', { oomScore: 1000 }), '1000\n')
  })

  it("has the launcher's own oom_score_adj where none is asked for", async () => {
    const launcher = launch({}, ['/bin/sh', '-c', 'echo 321 >/proc/$$/oom_score_adj; exec "$@"', 'sh'])
    assert.equal(await launcher.script('cat /proc/$$/oom_score_adj').result(), '321\n')
  })

  it('has new privileges or not, as asked for', async () => {
    assert.equal(await status('NoNewPrivs', { flags: Flag.noNewPrivs }), '1')
    assert.equal(await status('NoNewPrivs'), '0')
  })

  it('has the user, the group and the supplementary groups asked for', { skip: needsRoot }, async () => {
    const user = { ...NOBODY, groups: [5, 64_997, 64_996] }
    const text = await run('cat /proc/$$/status', { user })
    const ids = (id: number) => Array(4).fill(id).join('\t')
    assert.equal(/^Uid:\t(.*)$/m.exec(text)?.[1], ids(user.uid))
    assert.equal(/^Gid:\t(.*)$/m.exec(text)?.[1], ids(user.gid))
    assert.equal(/^Groups:\t(.*?) *$/m.exec(text)?.[1], '5 64996 64997')
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) {
      assert.match(text, new RegExp(`^${name}:\t0+$`, 'm'))
    }
  })

  it('has no supplementary groups of the launcher as another user', { skip: needsRoot }, async () => {
    const launcher = launch({}, ['setpriv', '--groups', '4,5'])
    assert.equal(await launcher.script('id -G', { user: NOBODY }).result(), `${NOBODY.gid}\n`)
    assert.equal(await launcher.script('id -G').result(), '0 4 5\n')
  })

  it("runs as the launcher's own user where none is asked for", async () => {
    assert.equal(await run('id -u'), `${process.getuid?.()}\n`)
  })

  it('may enter a folder only as its own user', { skip: needsRoot }, async () => {
    const folder = join(makeTempDir('flux-launcher-'))
    chmodSync(folder, 0o700)
    assert.equal(await run('pwd', { folder }), `${folder}\n`)
    assert.deepEqual(await launch().script('pwd', { folder, user: NOBODY }).failed, { step: 'FOLDER', errno: 13 })
  })

  it('is in a cgroup of its own, where there are any, and its children are', { skip: !cgroups }, async () => {
    const launcher = launch()
    const lines = 'sed -n s/^0:://p /proc/self/cgroup; setsid sed -n s/^0:://p /proc/self/cgroup; echo; sleep 60'
    const [one, other] = [launcher.script(lines), launcher.script(lines)]
    const paths = [await one.outputUntil('\n\n'), await other.outputUntil('\n\n')].map((text) =>
      text.trim().split('\n'),
    )
    for (const [leader, child] of paths) assert.equal(leader, child)
    assert.notEqual(paths[0]?.[0], paths[1]?.[0])
    for (const [path] of paths) assert.match(path ?? '', /\/launcher-\d+\/\d+$/)
  })
})
