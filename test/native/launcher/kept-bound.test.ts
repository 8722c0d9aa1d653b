import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { ownMemoryMiB } from '../../../harness/proc.js'
import type { Execution } from './execution.js'
import type { Launcher } from './launcher-under-test.js'
import { describeEach } from './variants.js'

const SURVIVES = { survives: 60_000 }
const MIB = 2 ** 20
/** What a launcher keeps in all, bytes, and what it reads at a time of one that has nothing kept when that is reached. */
const BOUND = 64 * MIB
const PIECE = 4_096

describeEach('what is kept in all', ({ launch, sanitized }) => {
  const kept = async (launcher: Launcher) => {
    const listed = await launcher.list()
    return listed.reduce((sum, { kept, offset }) => sum + offset - kept, 0)
  }

  /** Executions that fill the bound, of which nobody has been told. */
  const fill = async (launcher: Launcher) => {
    const floods = Array.from({ length: 80 }, () => launcher.kept('exec cat /dev/zero', { credit: 2 * MIB }))
    await Promise.all(floods.map(({ started }) => started))
    launcher.disconnect()
    await launcher.silent
    await launcher.idles()
    await launcher.connect()
    return floods
  }

  it('has a bound, which holds up only what has something kept', async () => {
    const launcher = launch(SURVIVES)
    const floods = await fill(launcher)
    const full = await kept(launcher)
    assert.ok(full > 0.95 * BOUND && full <= BOUND + floods.length * PIECE, `${full / MIB} MiB`)
    const memory = ownMemoryMiB(launcher.pid)
    assert.ok(sanitized || memory < 72, `${memory} MiB`)
    // What is not kept goes on as ever.
    const other = launcher.script('head -c 3000000 /dev/zero')
    await other.result()
    assert.equal(other.outputLength, 3_000_000)
    // What is kept and becomes safe goes on in small pieces.
    const late = launcher.kept('head -c 100000 /dev/zero; exit 6', { credit: 50_000 })
    const take = () => {
      launcher.credit(late, late.unsafe)
      return late.over
    }
    await eventually('it comes to its end', take)
    assert.equal((await late.ended).exitCode, 6)
    assert.equal(late.outputLength, 100_000)
    const pieces = launcher.events.filter(({ id, type }) => id === late.id && type === 'output').length
    assert.ok(pieces >= 100_000 / PIECE - 65_536 / PIECE, `${pieces} pieces`)
    assert.ok((await kept(launcher)) <= BOUND + (floods.length + 1) * PIECE)
    // As little as one byte that is not safe holds it up.
    const waiting = launcher.kept('exec cat /dev/zero', { credit: 50_000 })
    await eventually('a piece has come', () => waiting.outputLength === PIECE)
    launcher.credit(waiting, PIECE - 1)
    await launcher.idles()
    assert.equal(waiting.outputLength, PIECE)
    launcher.credit(waiting, 1)
    await eventually('the next piece has come', () => waiting.outputLength === 2 * PIECE)
  })

  it('goes on once there is room, each of those that wait', async () => {
    const launcher = launch(SURVIVES)
    const floods = await fill(launcher)
    const before = new Map((await launcher.list()).map(({ id, offset }) => [id, offset]))
    const held = floods.filter(({ id }) => (before.get(id) as number) < 2 * MIB)
    assert.ok(held.length > 30, `${held.length} are held up`)
    // Room for a part of them: those that are attached take all that comes, in turn.
    const attached = floods.slice(0, 20)
    for (const flood of attached) launcher.attach(flood, 0)
    const take = (all: readonly Execution[]) => {
      for (const flood of all) launcher.credit(flood, flood.unsafe)
    }
    await eventually('each goes on', () => {
      take(attached)
      return attached.every((flood) => flood.outputLength > (before.get(flood.id) as number) + 100_000)
    })
    launcher.kill(...attached)
    await Promise.all(attached.map(({ ended }) => ended))
    launcher.forget(...attached)
    await eventually('the others fill it again, or their windows', async () => {
      const listed = await launcher.list()
      const grown = listed.filter(({ id, offset }) => offset > (before.get(id) as number)).length
      return grown >= Math.min(10, held.length - attached.length)
    })
    assert.ok((await kept(launcher)) <= BOUND + floods.length * PIECE)
  })

  it('costs little more than its bytes, however small they come', async () => {
    const launcher = launch(SURVIVES)
    const executions = Array.from({ length: 4 }, () =>
      launcher.kept('i=0; while [ $i -lt 20000 ]; do printf x; i=$((i+1)); done; echo', { credit: MIB }),
    )
    const one = launcher.kept('echo')
    await one.ended
    const before = ownMemoryMiB(launcher.pid)
    await Promise.all(executions.map(({ ended }) => ended))
    const grown = ownMemoryMiB(launcher.pid) - before
    assert.equal(await kept(launcher), 4 * 20_001 + 1)
    assert.ok(sanitized || grown < 0.5, `${grown} MiB`)
  })
})
