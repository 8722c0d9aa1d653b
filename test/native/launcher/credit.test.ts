import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { creditFrame, NO_LIMIT } from './frames.js'
import { describeEach } from './variants.js'

const FLOOD = 'exec cat /dev/zero'
const PIPE = 65_536

describeEach(
  'credit',
  ({ launch }) => {
    it('is read up to, to the byte, and CREDIT resumes', async () => {
      const launcher = launch()
      const execution = launcher.script(FLOOD, { credit: 100_001 })
      await eventually('the first credit is used up', () => execution.outputLength === 100_001)
      await launcher.idles()
      assert.equal(execution.outputLength, 100_001)
      for (const bytes of [1, 9, 70_000, 1_000_000]) {
        const before: number = execution.outputLength
        launcher.credit(execution, bytes)
        await eventually('the next credit is used up', () => execution.outputLength === before + bytes)
        // What the launcher is asked afterwards, it answers after what it reads of its own accord.
        assert.equal((await launcher.list())[0]?.offset, before + bytes)
        assert.equal(execution.outputLength, before + bytes)
      }
      await launcher.idles()
      assert.equal(execution.overdrawn, false)
      launcher.kill(execution)
      await execution.ended
    })

    it('of 0 reads nothing while it runs, and what the pipe holds once it has ended', async () => {
      const launcher = launch()
      const execution = launcher.script('echo before; sleep 60', { credit: 0 })
      const other = launcher.script('echo written; head -c 60000 /dev/zero | tr "\\0" x', { credit: 0 })
      assert.equal(await other.result(), `written\n${'x'.repeat(60_000)}`)
      await launcher.idles()
      assert.equal(execution.outputLength, 0)
      launcher.kill(execution)
      await execution.ended
      assert.equal(execution.output(), 'before\n')
    })

    it('that is used up has the program wait, and no other', async () => {
      const launcher = launch()
      const waiting = launcher.script('head -c 1000000 /dev/zero; exit 5', { credit: 1000 })
      await eventually('the credit is used up', () => waiting.outputLength === 1000)
      const other = launcher.script('head -c 1000000 /dev/zero', { credit: NO_LIMIT })
      await other.result()
      assert.equal(other.outputLength, 1_000_000)
      assert.equal(waiting.outputLength, 1000)
      launcher.credit(waiting, NO_LIMIT)
      assert.equal((await waiting.ended).exitCode, 5)
      assert.equal(waiting.outputLength, 1_000_000)
    })

    it('adds up to no more than a number can hold', async () => {
      const launcher = launch()
      const execution = launcher.script('head -c 500000 /dev/zero', { credit: 10 })
      for (let i = 0; i < 3; i++) launcher.credit(execution, NO_LIMIT)
      launcher.credit(execution, 1)
      await execution.result()
      assert.equal(execution.outputLength, 500_000)
    })

    it('of one that does not live is ignored', async () => {
      const launcher = launch()
      const execution = launcher.script('echo x', { credit: 0 })
      await execution.ended
      launcher.credit(execution, 10)
      launcher.send(creditFrame(4711, 10), creditFrame(0, NO_LIMIT))
      // The same id starts with its own credit only.
      const again = launcher.script(FLOOD, { credit: 5 })
      await eventually('the credit is used up', () => again.outputLength === 5)
      await launcher.idles()
      assert.equal(again.outputLength, 5)
      launcher.kill(again)
      await again.ended
      assert.ok(again.outputLength <= 5 + PIPE)
    })

    it('that comes before the start counts', async () => {
      const launcher = launch()
      const slow = Array.from({ length: 20 }, () => launcher.start({ file: '/bin/true' }))
      const execution = launcher.script(FLOOD, { credit: 1000 })
      launcher.credit(execution, 2000)
      await Promise.all(slow.map(({ ended }) => ended))
      await eventually('both are used up', () => execution.outputLength === 3000)
      launcher.kill(execution)
      await execution.ended
    })
  },
  { fallbacks: true },
)
