import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { LAUNCHER } from '../../os/linux/starters.js'
import { Feature } from './frames.js'
import { describeEach, noLauncher } from './variants.js'

describeEach(
  'READY',
  ({ launch, cgroups, hasClone3 }) => {
    it('comes first, once, with the version and what the kernel lets it do', async () => {
      const launcher = launch()
      const { id, version, features } = await launcher.ready
      assert.deepEqual({ id, version }, { id: 0n, version: 4 })
      assert.equal(Boolean(features & Feature.cgroup), cgroups)
      if (!hasClone3) assert.equal(features & Feature.clone3, 0)
      await launcher.list()
      assert.deepEqual(
        launcher.events.map(({ type }) => type),
        ['ready', 'listEnd'],
      )
    })
  },
  { fallbacks: true },
)

describe('a launcher that cannot serve', { skip: noLauncher }, () => {
  const file = openSync(join(makeTempDir('flux-launcher-'), 'file'), 'w+')
  const cases = [
    ['a folder that is not there', ['/nonexistent'], 'pipe', 2, /CGROUP \/nonexistent: No such file or directory/],
    ['a folder that is not a cgroup', ['/usr'], 'pipe', 2, /CGROUP \/usr: /],
    [
      'three arguments',
      ['-', '/usr', '/usr'],
      'pipe',
      2,
      /usage: launcher \[CGROUP \[FOLDER \[SOCKET SURVIVE_MS\]\]\]/,
    ],
    ['files in place of pipes', [], file, 2, /standard input and output must be pipes or sockets/],
  ] as const
  for (const [what, args, stdio, status, message] of cases) {
    it(`says so: ${what}`, () => {
      const launcher = spawnSync(LAUNCHER, args, { input: '', stdio: [stdio, stdio, 'pipe'], timeout: 10_000 })
      const stderr = launcher.stderr.toString()
      assert.equal(launcher.status, status, stderr)
      assert.match(stderr, message)
      assert.match(stderr, /^flux-agent launcher: .*\n$/)
    })
  }
  after(() => closeSync(file))
})
