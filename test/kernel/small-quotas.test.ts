import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { enableControllers } from '../../src/os/linux/cgroup-files.js'
import type { Launcher } from '../native/launcher/launcher-under-test.js'
import { cgroupOf, cgroupsOf, describeEach, VARIANTS } from '../native/launcher/variants.js'
import { notInGuest } from './guest.js'

/** 1 ms in a second. */
const TINY = { cpuMillicores: 1 }
/** Less than the time of one exec at such a quota. */
const PROMPT_MS = 2_500
/** Whose copying takes longer than such a quota lasts. */
const ARGV = ['true', ...Array.from({ length: 11 }, () => 'x'.repeat(120_000))]
const BUSY = 'i=0; while [ $i -lt 8 ]; do (while :; do :; done) & i=$((i+1)); done; echo on; wait'

const IN_GUEST = VARIANTS.filter(({ cgroups, sanitized }) => cgroups && !sanitized).map((variant) => ({
  ...variant,
  skip: notInGuest ?? variant.skip,
}))

describeEach(
  'a tiny quota of the processor',
  ({ launch }) => {
    it('does not hold up the start, nor what comes after it', async () => {
      const launcher = launch()
      enableCpu(launcher)
      const withoutQuota = await timeStarts(launcher, {})
      assertPrompt(await timeStarts(launcher, TINY), withoutQuota)
    })

    it('is kept, also in a cgroup that has had it before', async () => {
      const launcher = launch()
      enableCpu(launcher)
      const quota = { cpuMillicores: 200 }
      const argv = ['timeout', '1', 'sh', '-c', 'while :; do :; done']
      for (const changes of [quota, quota, {}, quota]) {
        const { cgroupCpuUs } = await launcher.start({ file: '/usr/bin/timeout', argv, ...changes }).ended
        const limited = 'cpuMillicores' in changes
        assert.equal(cgroupCpuUs < 600_000, limited, `${cgroupCpuUs} µs, ${JSON.stringify(changes)}`)
      }
      // Nothing had to be killed, so that there has been one all the time.
      assert.equal(cgroupsOf(launcher).length, 1)
    })

    it('does not hold up the end of what is killed', async () => {
      const launcher = launch()
      enableCpu(launcher)
      const busy = Array.from({ length: 5 }, () => launcher.script(BUSY, TINY))
      await Promise.all(busy.map(({ started }) => started))
      await sleep(1_500)
      const begun = performance.now()
      launcher.kill(...busy)
      for (const { survivors } of await Promise.all(busy.map(({ ended }) => ended))) assert.equal(survivors, 0)
      assertPrompt(performance.now() - begun)
    })
  },
  { variants: IN_GUEST },
)

function enableCpu(launcher: Launcher): void {
  const dir = cgroupOf(launcher)
  for (const folder of [dirname(dirname(dir)), dirname(dir), dir]) {
    assert.deepEqual(enableControllers(folder, ['cpu']), ['cpu'])
  }
}

/** Answers how many milliseconds ten starts, and the end of another process meanwhile, take together. */
async function timeStarts(launcher: Launcher, quota: Partial<typeof TINY>): Promise<number> {
  const other = launcher.script('exec sleep 600')
  await other.started
  const begun = performance.now()
  const starts = Array.from({ length: 10 }, () => launcher.start({ file: '/bin/true', argv: ARGV, ...quota }))
  launcher.kill(other)
  await Promise.all([other.ended, ...starts.map(({ started }) => started)])
  const milliseconds = performance.now() - begun
  launcher.kill(...starts)
  await Promise.all(starts.map(({ ended }) => ended))
  return milliseconds
}

/** `usual`: how long it takes where nothing is limited. */
function assertPrompt(milliseconds: number, usual = 0): void {
  assert.ok(milliseconds < usual + PROMPT_MS, `${milliseconds} ms, without a quota ${usual} ms`)
}
