import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { cgroupFolder } from '../../os/linux/starters.js'
import { describeEach, VARIANTS } from './variants.js'

/*
 * Some kernels kill a process as soon as it exists where its cgroup and the one that its parent is in have been killed differently
 * often (cgroup.c says more).
 */
describeEach(
  'a launcher in a cgroup that has been killed before',
  ({ launch }) => {
    it('starts processes all the same', async () => {
      const dir = join(cgroupFolder(), 'killed')
      mkdirSync(dir)
      try {
        if (!existsSync(join(dir, 'cgroup.kill'))) return
        for (let i = 0; i < 3; i++) writeFileSync(join(dir, 'cgroup.kill'), '1')
        const launcher = launch({}, ['/bin/sh', '-c', `echo $$ >${dir}/cgroup.procs; exec "$@"`, 'sh'])
        for (let round = 0; round < 3; round++) {
          const sleeps = Array.from({ length: 10 }, () => launcher.script('echo $$; exec sleep 60'))
          const pids = await Promise.all(sleeps.map(async (sleep) => (await sleep.numbers())[0]))
          assert.deepEqual(pids, await Promise.all(sleeps.map(({ started }) => started)))
          launcher.kill(...sleeps)
          for (const { signal } of await Promise.all(sleeps.map(({ ended }) => ended))) assert.equal(signal, 9)
        }
        const failing = launcher.start({ file: '/nonexistent' })
        assert.deepEqual(await failing.failed, { step: 'EXEC', errno: 2 })
        await launcher.close()
      } finally {
        await eventually('its cgroup can be removed', () => rmdirSync(dir) === undefined)
      }
    })
  },
  { variants: VARIANTS.filter(({ cgroups }) => cgroups) },
)
