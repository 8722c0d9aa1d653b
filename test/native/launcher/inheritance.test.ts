import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { it } from 'node:test'
import { openDescriptors } from '../../../harness/proc.js'
import { describeEach } from './variants.js'

/** What a parent may leave behind in the launcher: signals ignored and blocked, descriptors, a folder, variables. */
const BLOCK = '--block-signal=USR1,USR2,CHLD,TERM'
const canBlock = spawnSync('env', [BLOCK, 'true']).status === 0
const SETUP = 'trap "" HUP PIPE INT CHLD; exec 7</etc/passwd 8>/dev/null; cd /usr; umask 0; exec "$@"'
const PREFIX = ['/bin/sh', '-c', SETUP, 'sh', '/usr/bin/env', ...(canBlock ? [BLOCK] : [])]

describeEach(
  'what is inherited from the launcher and its parent',
  ({ launch, sanitized }) => {
    const env = { LEAKED: 'yes' }

    it('is no signal, neither blocked nor ignored nor caught', async () => {
      const launcher = launch({ env }, PREFIX)
      const text = await launcher.start({ file: '/bin/cat', argv: ['cat', '/proc/self/status'] }).result()
      const masks = [...text.matchAll(/^(Sig|Shd)(Pnd|Blk|Ign|Cgt):\t(\w+)$/gm)].map(([, , name, mask]) => [name, mask])
      const none = '0'.repeat(16)
      assert.deepEqual(masks, [
        ['Pnd', none],
        ['Pnd', none],
        ['Blk', none],
        ['Ign', none],
        ['Cgt', none],
      ])
    })

    it('is no descriptor', async () => {
      const files = ['/etc/passwd', '/dev/null', '/'].map((path) => openSync(path, 'r'))
      try {
        const launcher = launch({ env, inherit: files }, PREFIX)
        // Those of others must not appear either.
        const others = Array.from({ length: 10 }, () => launcher.script('sleep 60'))
        await Promise.all(others.map(({ started }) => started))
        const lines = (await launcher.start({ file: '/bin/ls', argv: ['ls', '-l', '/proc/self/fd'] }).result())
          .split('\n')
          .flatMap((line) => / (\d+ -> .*)$/.exec(line)?.[1] ?? [])
        assert.equal(lines.length, 4, lines.join('\n'))
        assert.equal(lines[0], '0 -> /dev/null')
        assert.match(lines[1] ?? '', /^1 -> pipe:\[\d+\]$/)
        assert.equal(lines[2]?.slice(5), lines[1]?.slice(5))
        assert.match(lines[3] ?? '', /^3 -> \/proc\/\d+\/fd$/)
      } finally {
        files.forEach(closeSync)
      }
    })

    it('is no descriptor that the launcher itself would keep', async () => {
      const file = openSync('/etc/passwd', 'r')
      try {
        const launcher = launch({ env, inherit: Array(40).fill(file) }, PREFIX)
        await launcher.ready
        assert.deepEqual(
          openDescriptors(launcher.pid).filter((target) => target === '/etc/passwd'),
          [],
        )
      } finally {
        closeSync(file)
      }
    })

    it('is an empty stdin', async () => {
      assert.equal(await launch({ env }, PREFIX).script('cat; readlink /proc/$$/fd/0').result(), '/dev/null\n')
    })

    it('is no folder, umask, variable, session or group', async () => {
      const launcher = launch({ env }, PREFIX)
      const execution = launcher.script('pwd; umask; echo $LEAKED; cat /proc/$$/stat', { umask: 0o22 })
      const pid = await execution.started
      const [folder, umask, variable, stat] = (await execution.result()).split('\n')
      assert.deepEqual([folder, umask, variable], ['/', '0022', ''])
      const [, parent, group, session] = stat?.split(') ')[1]?.split(' ') ?? []
      assert.deepEqual([Number(parent), Number(group), Number(session)], [launcher.pid, pid, pid])
    })

    it('keeps the launcher at work', { skip: sanitized && 'takes long' }, async () => {
      const launcher = launch({ env }, PREFIX)
      for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGPIPE', 'SIGUSR1'] as const) {
        await launcher.ready
        launcher.signal(signal)
      }
      assert.equal(await launcher.script('echo still there').result(), 'still there\n')
    })
  },
  { fallbacks: true },
)
