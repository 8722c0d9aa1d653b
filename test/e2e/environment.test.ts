import assert from 'node:assert/strict'
import { chmodSync, existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { whileUsersStay } from '../support/system-user.js'

const isLinux = process.platform === 'linux'
const isRoot = process.getuid?.() === 0

/** KEY=VALUE by key. */
function variables(environ: Buffer): Record<string, string> {
  const pairs = environ.toString().split('\0').filter(Boolean)
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}

describe("a function's surroundings", { skip: !isLinux }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({
      config: { network: { node_private_ip: '10.1.2.3', node_public_ip: '198.51.100.7' } },
      env: { SECRET_TOKEN: 'of the agent', FLUX_NODE_PUBLIC_IP: 'of the agent', TMPDIR: '/var/tmp', TZ: 'Asia/Tokyo' },
    })
    calls = new Calls(agent.client)
    const env = {
      GREETING: 'hé=llo\n',
      LANG: 'de_DE.UTF-8',
      FLUX_EXECUTION_ID: 'forged',
      FLUX_NODE_PRIVATE_IP: 'forged',
    }
    await calls.script('environ', 'cat /proc/$$/environ', { env })
    await calls.script('args', 'printf "%s\\0" "$@"')
    await calls.script('run', 'eval "$1"')
  })
  after(() => agent.stop())

  const run = async (lines: string) => (await calls.execute({ function_name: 'run', args: [lines] })).output.toString()

  it('has exactly the variables of the contract, and none of the agent', async () => {
    const { output } = await calls.execute({ function_name: 'environ', execution_id: 'my-id' })
    const { username, homedir } = userInfo()
    const { TMPDIR, PYTHONPYCACHEPREFIX, NODE_COMPILE_CACHE, XDG_CACHE_HOME, ...others } = variables(output)
    const cache = dirname(PYTHONPYCACHEPREFIX ?? '')
    assert.match(cache, /\/functions\/caches\/environ\/[0-9a-f-]+$/)
    assert.deepEqual(
      { NODE_COMPILE_CACHE, XDG_CACHE_HOME },
      { NODE_COMPILE_CACHE: join(cache, 'node'), XDG_CACHE_HOME: cache },
    )
    if (noLauncher) assert.equal(TMPDIR, '/tmp')
    else assert.match(TMPDIR ?? '', /\/\.tmp\/\w+\/\w+$/)
    assert.deepEqual(others, {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: homedir,
      USER: username,
      LOGNAME: username,
      LANG: 'de_DE.UTF-8',
      TZ: 'Asia/Tokyo',
      TERM: 'dumb',
      GREETING: 'hé=llo\n',
      FLUX_EXECUTION_ID: 'my-id',
      FLUX_NODE_PRIVATE_IP: '10.1.2.3',
      FLUX_NODE_PUBLIC_IP: '198.51.100.7',
    })
  })

  it('has a language where its function sets none', async () => {
    assert.equal(await run('echo $LANG'), 'C.UTF-8\n')
  })

  it('has an execution id of its own where the caller gave none', async () => {
    const ids = await Promise.all([1, 2].map(() => run('echo $FLUX_EXECUTION_ID')))
    assert.notEqual(ids[0], ids[1])
    for (const id of ids) assert.match(id, /^[\x21-\x7e]{1,200}\n$/)
  })

  it('has the id that an async caller gave', async () => {
    const id = await calls.start('run', ['echo $FLUX_EXECUTION_ID'])
    assert.equal((await calls.ended(id)).output, `${id}\n`)
  })

  it('gets its arguments as they were given', async () => {
    const args = [
      '',
      'a b',
      '"double"',
      "'single'",
      'new\nline',
      '-x',
      '--',
      '$HOME `id`',
      '\\',
      '*',
      'ü 𝄞',
      '\x01',
      '',
    ]
    const { output } = await calls.execute({ function_name: 'args', args })
    assert.deepEqual(output.toString().split('\0').slice(0, -1), args)
  })

  it('gets no arguments where none were given', async () => {
    assert.equal((await calls.execute({ function_name: 'run', args: [] })).error, '')
    assert.equal((await calls.execute({ function_name: 'args', args: [] })).output.toString(), '\0')
  })

  it("starts in its handler's own folder", async () => {
    const archive = buildZip([
      { name: 'data', contents: 'of the root' },
      { name: 'bin/data', contents: 'beside the handler' },
      { name: 'bin/main.sh', contents: '#!/bin/sh\ncat data\n', mode: PROGRAM },
    ])
    await calls.deploy('nested', archive, { name: 'nested', handler: 'bin/main.sh' })
    assert.equal((await calls.execute({ function_name: 'nested' })).output.toString(), 'beside the handler')
  })

  it('reads an empty stdin', async () => {
    assert.equal(await run('cat; echo end'), 'end\n')
  })

  it('leads a session and a group of its own', async () => {
    const [pid, group, session] = (await run('cat /proc/$$/stat')).replace(/\(.*\) \S+ \S+/, '').split(/ +/)
    assert.deepEqual([group, session], [pid, pid])
  })

  it('keeps what it writes to itself', { skip: noLauncher ?? false }, async () => {
    assert.equal(await run('umask'), '0077\n')
  })

  it('has a folder for temporary files of its own, which is removed after it', {
    skip: noLauncher ?? false,
  }, async () => {
    const lines = 'mkdir -p $TMPDIR/a/b && echo x >$TMPDIR/a/b/c && mktemp && stat -c "%a %U" $TMPDIR && echo $TMPDIR'
    const [file = '', access, dir = ''] = (await run(lines)).split('\n')
    assert.equal(access, `700 ${userInfo().username}`)
    assert.equal(dirname(file), dir)
    await eventually('it is gone', () => !existsSync(dir))
    assert.notEqual(await run('echo $TMPDIR'), `${dir}\n`)
  })

  it('has the TMPDIR that its function sets', async () => {
    await calls.script('elsewhere', 'echo $TMPDIR', { env: { TMPDIR: '/var/tmp' } })
    assert.equal((await calls.execute({ function_name: 'elsewhere' })).output.toString(), '/var/tmp\n')
  })

  it('opens its output by name', async () => {
    assert.equal(await run('echo 1 >/dev/stdout; echo 2 >/dev/stderr; echo 3'), '1\n2\n3\n')
  })

  for (const isolation of ['shared', 'separate']) {
    it(`runs as the user that the configuration names: ${isolation}`, { skip: !isRoot }, async () => {
      const dir = makeTempDir('flux-run-as-')
      chmodSync(dir, 0o755)
      const config = { run_as: 'nobody', apps_dir: `${dir}/apps`, functions: { isolation } }
      const other = await startTestAgent({ config })
      try {
        const there = new Calls(other.client)
        await there.script('who', 'id -u; id -G; id -un; echo $USER $LOGNAME; touch $TMPDIR/y; echo x >/dev/stdout')
        const { error, output } = await whileUsersStay(() => there.execute({ function_name: 'who' }))
        const id = isolation === 'separate' ? 2_100_000_000 : 65_534
        assert.deepEqual([error, output.toString()], ['', `${id}\n${id}\nnobody\nnobody nobody\nx\n`])
        // It has no home of its own on this machine.
        await there.script('home', 'cd ~ && echo 1 >>kept && cat kept')
        if (isolation === 'separate') {
          await there.execute({ function_name: 'home' })
          assert.equal((await there.execute({ function_name: 'home' })).output.toString(), '1\n1\n')
        }
      } finally {
        await other.stop()
      }
    })
  }
})
