import assert from 'node:assert/strict'
import { it } from 'node:test'
import { describeEach, isRoot, NOBODY } from './variants.js'

const USERS = [
  ["the launcher's own user", {}, false],
  ['another user', { user: NOBODY }, isRoot ? false : 'needs root'],
] as const

describeEach(
  'output',
  ({ launch }) => {
    for (const [whose, changes, skip] of USERS) {
      it(`comes in the order written, through any name, as ${whose}`, { skip }, async () => {
        const lines = 'echo 1; echo 2 >&2; echo 3 >/dev/stdout; echo 4 >>/dev/stderr; echo 5; echo 6 >/proc/self/fd/2'
        assert.equal(await launch().script(lines, changes).result(), '1\n2\n3\n4\n5\n6\n')
      })
    }

    it('comes whole and unchanged, in pieces whose offsets are contiguous', async () => {
      const lines = 'i=0; while [ $i -lt 100000 ]; do echo "line $i"; i=$((i+1)); done'
      const expected = Array.from({ length: 100_000 }, (_, i) => `line ${i}\n`).join('')
      const launcher = launch()
      const outputs = await Promise.all([launcher.script(lines).result(), launcher.script(lines).result()])
      for (const output of outputs) assert.ok(output === expected)
      assert.ok(launcher.events.filter(({ type }) => type === 'output').length > 10)
    })

    it('comes while the program runs', async () => {
      const launcher = launch()
      const execution = launcher.script('echo one; sleep 60')
      assert.equal(await execution.outputUntil('\n'), 'one\n')
      launcher.kill(execution)
      await execution.ended
    })

    it('comes of one that has closed its stdout and stderr and runs on, and costs nothing then', async () => {
      const launcher = launch()
      const execution = launcher.script('echo last; exec >&- 2>&-; sleep 60')
      await execution.outputUntil('last\n')
      await launcher.idles()
      launcher.kill(execution)
      await execution.ended
      assert.equal(execution.output(), 'last\n')
    })

    it('comes of every byte', async () => {
      const execution = launch().script('i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %o $i)"; i=$((i+1)); done')
      await execution.result()
      assert.deepEqual(
        [...execution.bytes()],
        Array.from({ length: 256 }, (_, byte) => byte),
      )
    })
  },
  { fallbacks: true },
)
