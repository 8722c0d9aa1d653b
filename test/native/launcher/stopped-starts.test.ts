import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { helper, noCompiler } from './builds.js'
import type { Execution } from './execution.js'
import type { Launcher } from './launcher-under-test.js'
import { describeEach, NOBODY, needsRoot } from './variants.js'

const LIMIT_SECONDS = 30

describeEach(
  'a start as a user whose processes stop each other',
  ({ launch }) => {
    it('is told of in the end, and a kill ends them all', { skip: needsRoot || noCompiler }, async () => {
      const launcher = launch()
      const stopper = await startStopper(launcher)
      const other = launcher.script('exec sleep 600')
      await other.started
      const starts = Array.from({ length: 200 }, () => launcher.script('exec sleep 600', { user: NOBODY }))
      await answeredInTime(starts)
      assert.equal(stopper.over, false)
      const all = [...starts, stopper, other]
      launcher.kill(...all)
      for (const end of await Promise.all(all.map(({ done }) => done))) {
        if ('signal' in end) assert.equal(end.signal, 9)
      }
      assert.deepEqual(await launcher.list(), [])
    })

    it('fails where it was stopped before its program ran', { skip: needsRoot || noCompiler }, async () => {
      const launcher = launch()
      const stopper = await startStopper(launcher)
      // Arguments that take a while to copy, and a file that is found to be no program only after that: the child comes
      // back from the exec with the signal that came meanwhile.
      const file = join(makeTempDir('flux-stopped-'), 'no-program')
      writeFileSync(file, 'text', { mode: 0o755 })
      const argv = Array.from({ length: 14 }, () => 'x'.repeat(128_000))
      const starts = Array.from({ length: 20 }, () => launcher.start({ file, argv, user: NOBODY }))
      await answeredInTime(starts)
      for (const start of starts) assert.equal((await start.failed).step, 'EXEC')
      launcher.kill(stopper)
      assert.equal((await stopper.ended).signal, 9)
    })
  },
  { fallbacks: true },
)

async function startStopper(launcher: Launcher): Promise<Execution> {
  const stopper = launcher.start({ file: helper('stop-others'), user: NOBODY })
  await eventually('the first signal', () => stopper.output() === 'on\n')
  return stopper
}

async function answeredInTime(starts: readonly Execution[]): Promise<void> {
  const begun = performance.now()
  await Promise.all(starts.map(({ answered }) => answered))
  const seconds = (performance.now() - begun) / 1000
  assert.ok(seconds < LIMIT_SECONDS, `${starts.length} starts took ${seconds} s`)
}
