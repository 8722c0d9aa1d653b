import assert from 'node:assert/strict'
import { chmodSync, chownSync, copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { childrenOf, openDescriptors } from '../../../harness/proc.js'
import { freeze, noFreezer } from '../../support/freezer.js'
import { helper, noCompiler } from './builds.js'
import type { Launcher } from './launcher-under-test.js'
import { describeEach, isRoot, NOBODY } from './variants.js'

const LIMIT_SECONDS = 15
/** What a start or a cancel may take longer than usual because of others that are held up, ms. */
const LATER_MS = 50
const ROUNDS = 10

const user = isRoot ? { user: NOBODY } : {}

describeEach(
  'a start that its user holds up',
  ({ launch, sanitized, hasClone3 }) => {
    /** Answers what holds the file, so that whoever executes it waits. */
    const hold = async (launcher: Launcher) => {
      const dir = makeTempDir('flux-slow-')
      const file = join(dir, 'program')
      copyFileSync('/bin/true', file)
      for (const path of [dir, file]) {
        chmodSync(path, 0o755)
        if (isRoot) chownSync(path, NOBODY.uid, NOBODY.gid)
      }
      const holder = launcher.start({ file: helper('hold-lease'), argv: ['hold-lease', file], ...user })
      await eventually('the lease', () => holder.output() === 'held\n')
      return { file, holder }
    }

    it('fails in the end, and does not keep others from being killed', { skip: noCompiler }, async () => {
      const holds = Number(readFileSync('/proc/sys/fs/lease-break-time', 'latin1'))
      const launcher = launch()
      const { file, holder } = await hold(launcher)
      const other = launcher.script('exec sleep 600')
      await other.started
      const begun = performance.now()
      const held = launcher.start({ file, ...user })
      launcher.kill(other)
      await other.ended
      const { step, errno } = await held.failed
      const seconds = (performance.now() - begun) / 1000
      assert.deepEqual([step, errno], ['EXEC', 110])
      assert.ok(seconds < Math.min(LIMIT_SECONDS, holds), `it took ${seconds} s`)
      launcher.kill(holder)
      await holder.ended
    })

    for (const crowd of [1, 200]) {
      it(`holds up no other start and no cancel: ${crowd} at once`, { skip: noCompiler }, async () => {
        const launcher = launch()
        const { file, holder } = await hold(launcher)
        const start = () => launcher.start({ file: '/bin/true' }).ended
        const sleeper = () => launcher.script('exec sleep 600')
        const late: number[] = []
        // Neighbours on the machine may hold up one round, but hardly each.
        for (let round = 0; round < ROUNDS && !late.some((ms) => ms < LATER_MS); round++) {
          const running = [sleeper(), sleeper()] as const
          await Promise.all(running.map(({ started }) => started))
          const ordinary = Array.from({ length: crowd }, start)
          const usual = await duration(async () => {
            launcher.kill(running[0])
            await Promise.all([start(), running[0].ended])
          })
          await Promise.all(ordinary)
          const held = Array.from({ length: crowd }, () => launcher.start({ file, ...user }))
          const during = await duration(async () => {
            launcher.kill(running[1])
            await Promise.all([start(), running[1].ended])
          })
          const then = await duration(start)
          const cancelled = await duration(async () => {
            assert.ok(held.every(({ over }) => !over))
            launcher.kill(...held)
            for (const { step } of await Promise.all(held.map(({ failed }) => failed))) assert.equal(step, 'CANCELLED')
          })
          late.push(Math.max(during - usual, then - usual, cancelled - usual))
        }
        assert.ok(
          late.some((ms) => sanitized || ms < LATER_MS),
          `${late} ms later than usual`,
        )
        assert.deepEqual(launcher.children(), [await holder.started])
        launcher.kill(holder)
        await holder.ended
        assert.deepEqual(await launcher.list(), [])
      })
    }

    it('starts once it is let go, and its program runs as any other', { skip: noCompiler }, async () => {
      const launcher = launch()
      const { file, holder } = await hold(launcher)
      const held = Array.from({ length: 20 }, () => launcher.start({ file, ...user }))
      await eventually('all wait', () => childrenOf(launcher.pid).length > held.length)
      launcher.kill(holder)
      for (const execution of held) assert.equal(await execution.result(), '')
      // Served by another thread meanwhile, and again.
      for (let i = 0; i < 50; i++) assert.equal(await launcher.script('echo served').result(), 'served\n')
    })

    it('has none of the descriptors that the launcher has for others', { skip: noCompiler || !hasClone3 }, async () => {
      const launcher = launch()
      const others = Array.from({ length: 30 }, () => launcher.script('exec sleep 60'))
      await Promise.all(others.map(({ started }) => started))
      const { file, holder } = await hold(launcher)
      const before = launcher.children()
      // One after the other: where several are started at the very same time, only one of them is spared.
      for (let i = 0; i < 3; i++) {
        const held = launcher.start({ file, ...user })
        const waiting = () => launcher.children().filter((child) => !before.includes(child))
        await eventually('it waits with few', () => waiting().some((child) => openDescriptors(child).length < 20))
        launcher.kill(held)
        assert.equal((await held.failed).step, 'CANCELLED')
      }
      launcher.kill(holder)
    })

    it('is told of with its pid where it cannot be killed', { skip: noCompiler || noFreezer }, async () => {
      const launcher = launch({ leavesCgroups: true })
      const { file, holder } = await hold(launcher)
      const held = launcher.start({ file, ...user })
      await eventually('it waits', () => launcher.children().length === 2)
      const pid = launcher.children().find((child) => !isProgram(child, 'hold-lease')) as number
      const thaw = await freeze(pid)
      try {
        launcher.kill(held)
        assert.equal(await launcher.script('echo served').result(), 'served\n')
        assert.deepEqual(await held.failed, { step: 'CANCELLED', errno: 125, survivors: [pid] })
        assert.equal(await launcher.script('echo served').result(), 'served\n')
      } finally {
        await thaw()
      }
      await eventually('it is gone in the end', () => !existsSync(`/proc/${pid}`))
      launcher.kill(holder)
      await holder.ended
    })

    it('ends with the launcher', { skip: noCompiler }, async () => {
      const launcher = launch()
      const { file, holder } = await hold(launcher)
      const held = Array.from({ length: 20 }, () => launcher.start({ file, ...user }))
      await eventually('all wait', () => childrenOf(launcher.pid).length > held.length)
      const begun = performance.now()
      launcher.stdin.end()
      for (const { step } of await Promise.all(held.map(({ failed }) => failed))) assert.equal(step, 'CANCELLED')
      await holder.ended
      await launcher.exited
      assert.ok(performance.now() - begun < 2_500)
    })
  },
  { fallbacks: true },
)

/** What it takes, ms. */
async function duration(act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await act()
  return performance.now() - begun
}

function isProgram(pid: number, name: string): boolean {
  return readFileSync(`/proc/${pid}/comm`, 'latin1') === `${name}\n`
}
