import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { SANITIZER_STATUS } from './builds.js'
import { FuzzSource } from './fuzz-source.js'
import type { Launcher } from './launcher-under-test.js'
import { left } from './marks.js'
import { describeEach, inCi, SANITIZED } from './variants.js'
import { withinSeconds } from './within.js'

const seconds = Number(process.env['FUZZ_SECONDS'] ?? (inCi ? 60 : 3))
const firstSeed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
/** How long a launcher may take to leave: what cannot be killed it waits for for 5 s. */
const LIMIT_SECONDS = inCi ? 10 : 5

describeEach(
  'anything at all on stdin',
  ({ launch }) => {
    it('is either served or refused, and nothing is left behind', async (t) => {
      const tmpdirs = makeTempDir('flux-fuzz-')
      const end = performance.now() + (1000 * seconds) / SANITIZED.length
      let seed = firstSeed
      let frames = 0
      let refused = 0
      for (; seed === firstSeed || performance.now() < end; seed++) {
        try {
          const source = new FuzzSource(seed)
          const survives = source.chance(0.5)
          const launcher = launch({
            tmpdirs,
            says: /^(flux-agent launcher: what came on standard input is not a request; .*\n)?$/,
            ...(survives && { survives: 50 }),
          })
          launcher.tolerate()
          let connections = 0
          do {
            if (connections > 0) launcher.send(source.attaches())
            for (const bytes of source.pieces()) {
              launcher.send(bytes)
              if (source.chance(0.3)) await new Promise(setImmediate)
            }
            connections++
          } while (survives && source.chance(0.7) && (await reconnected(launcher)))
          frames += source.frames
          if (survives) launcher.disconnect()
          else launcher.stdin.end()
          const { code, signal } = await withinSeconds('the launcher leaves', LIMIT_SECONDS, launcher.exited)
          assert.notEqual(code, SANITIZER_STATUS, launcher.stderr)
          assert.ok(signal === null && (code === 0 || code === 2), `${code} ${signal} ${launcher.stderr}`)
          // What it says later goes nowhere.
          if (connections === 1) assert.equal(code === 2, launcher.stderr !== '')
          assert.deepEqual(left(), [])
          refused += code === 2 ? 1 : 0
          await launcher.close()
        } catch (error) {
          throw new Error(`run again with FUZZ_SEED=${seed}`, { cause: error })
        }
      }
      t.diagnostic(`${seed - firstSeed} launchers from seed ${firstSeed}, ${frames} frames, ${refused} refused`)
      assert.ok(frames > 0)
    })
  },
  { variants: SANITIZED },
)

/** Ends the connection in the middle of whatever it is; false where the launcher has left, or does. */
async function reconnected(launcher: Launcher): Promise<boolean> {
  launcher.disconnect()
  try {
    await launcher.connect(false)
    launcher.read()
    return true
  } catch {
    return false
  }
}
