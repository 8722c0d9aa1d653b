import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { ownMemoryMiB } from '../../../harness/proc.js'
import type { Execution } from './execution.js'
import { creditFrame, listFrame, State } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { describeEach } from './variants.js'

const SURVIVES = { survives: 60_000 }
const RECONNECTS = 25
const LINES = 40_000

const numbered = Array.from({ length: LINES }, (_, i) => `line ${i}\n`).join('')
const NUMBERED = `i=0; while [ $i -lt ${LINES} ]; do echo "line $i"; i=$((i+1)); done`

describeEach('output that is kept', ({ launch, sanitized }) => {
  const isOver = async (launcher: Launcher) => (await launcher.list()).every(({ state }) => state === State.ended)

  const reconnect = async (launcher: Launcher, execution: Execution, offset: number) => {
    launcher.disconnect()
    await launcher.connect()
    launcher.attach(execution, offset)
  }

  it('is told from any offset that is kept, to the end of it, and no other byte', async () => {
    const launcher = launch(SURVIVES)
    const running = launcher.kept('printf abcdefghij; sleep 60')
    const ended = launcher.kept('printf abcdefghij; exit 3')
    await Promise.all([running.outputUntil('j'), ended.ended])
    for (let offset = 0; offset <= 10; offset++) {
      for (const execution of [running, ended]) {
        const before = launcher.events.length
        await reconnect(launcher, execution, offset)
        await (execution === running ? running.started : ended.ended)
        await launcher.list()
        const told = launcher.events.slice(before).filter(({ type }) => type === 'output')
        assert.ok(told.length === (offset < 10 ? 1 : 0))
        const listed = (await launcher.list()).find(({ id }) => id === execution.id)
        assert.deepEqual([listed?.kept, listed?.offset], [offset, 10])
      }
    }
  })

  it('is freed by CREDIT to the byte, and is not told again', async () => {
    const launcher = launch(SURVIVES)
    const execution = launcher.kept('head -c 100000 /dev/zero; sleep 60', { credit: 1_000 })
    let safe = 0
    for (const bytes of [1, 0, 479, 1, 519, 1_000, 999]) {
      await eventually('the window is used up', () => execution.outputLength === safe + 1_000)
      launcher.credit(execution, bytes)
      safe += bytes
      const [listed] = await launcher.list()
      assert.equal(listed?.kept, safe)
    }
    await reconnect(launcher, execution, safe)
    await eventually('the window is told again', () => execution.unsafe === 1_000)
    assert.equal(execution.outputLength, safe + 1_000)
    launcher.credit(execution, 1_000)
    await eventually('it goes on', () => execution.outputLength === safe + 2_000)
  })

  it('comes byte for byte over many connections that end anywhere, in the middle of frames', async (t) => {
    const seed = Number(process.env['REPLAY_SEED'] ?? randomInt(2 ** 31))
    t.diagnostic(`REPLAY_SEED=${seed}`)
    const below = random(seed)
    const launcher = launch(SURVIVES)
    const credit = 20_000
    const executions = [
      launcher.kept(NUMBERED, { credit }),
      // Small writes, and large ones.
      launcher.kept(`${NUMBERED} | tail -c 300000`, { credit }),
      launcher.kept('sleep 60', { credit }),
    ]
    const [lines, tail, silent] = executions as [Execution, Execution, Execution]
    for (let connection = 0; connection < RECONNECTS; connection++) {
      const goal = lines.outputLength + below(20_000)
      const release = () => {
        for (const execution of executions) launcher.credit(execution, below(execution.unsafe + 1))
        return lines.over || lines.outputLength >= goal
      }
      await eventually('more has come', release)
      // A part of a request; what has come of an event is as little whole.
      const request = below(2) ? creditFrame(lines.id, 10) : listFrame(1)
      launcher.send(request.subarray(0, below(request.length)))
      launcher.disconnect()
      await launcher.connect()
      for (const execution of executions) {
        const { safeLength } = execution
        launcher.attach(execution, safeLength + below(execution.outputLength - safeLength + 1))
      }
    }
    const take = () => {
      for (const execution of [lines, tail]) launcher.credit(execution, execution.unsafe)
      return lines.over && tail.over
    }
    await eventually('both have ended', take, 60)
    assert.ok((await lines.result()) === numbered)
    assert.ok((await tail.result()) === numbered.slice(-300_000))
    assert.equal(silent.outputLength, 0)
  })

  it('goes on to be kept while nobody is there, as far as the window goes, and what is left at the end', async () => {
    const launcher = launch(SURVIVES)
    const waiting = launcher.kept('cat /dev/zero', { credit: 100_001 })
    const ending = launcher.kept('head -c 120000 /dev/zero', { credit: 100_000 })
    await Promise.all([waiting.started, ending.started])
    launcher.disconnect()
    await launcher.connect()
    const offsets = async () => (await launcher.list()).map(({ offset, state }) => `${offset} ${state}`).sort()
    const expected = [`100001 ${State.running}`, `120000 ${State.ended}`]
    await eventually('the window is full, and the other over', async () => `${await offsets()}` === `${expected}`)
    await launcher.idles()
    assert.deepEqual(await offsets(), expected)
    launcher.attach(ending)
    await ending.result()
    assert.equal(ending.outputLength, 120_000)
  })

  it('is told piece by piece, as the reader takes it', async () => {
    const launcher = launch(SURVIVES)
    const size = 500_000
    const many = Array.from({ length: 50 }, (_, i) => launcher.kept(`head -c ${size} /dev/zero | tr '\\0' ${i % 10}`))
    await Promise.all(many.map(({ started }) => started))
    launcher.disconnect()
    await launcher.connect()
    await eventually('all have ended', () => isOver(launcher))
    launcher.disconnect()
    await launcher.connect(false)
    const before = ownMemoryMiB(launcher.pid)
    assert.ok(sanitized || before < 50 * 0.5 * 1.3, `${before} MiB`)
    for (const execution of many) launcher.attach(execution, 0)
    await launcher.idles()
    const after = ownMemoryMiB(launcher.pid)
    assert.ok(sanitized || after - before < 3, `${before} MiB, then ${after} MiB`)
    launcher.read()
    for (const [i, execution] of many.entries()) {
      await execution.result()
      assert.ok(execution.bytes().equals(Buffer.alloc(size, `${i % 10}`)))
    }
    launcher.forget(...many)
    assert.deepEqual(await launcher.list(), [])
    const none = ownMemoryMiB(launcher.pid)
    assert.ok(sanitized || none < 8, `${none} MiB when nothing is kept`)
  })

  it('comes before what is written meanwhile', async () => {
    const launcher = launch(SURVIVES)
    const size = 2_000_000
    const execution = launcher.kept(`head -c ${size} /dev/zero; echo; ${NUMBERED}`)
    await execution.outputUntil('\n')
    launcher.disconnect()
    await launcher.connect(false)
    launcher.attach(execution, 0)
    await launcher.idles()
    launcher.read()
    await execution.result()
    assert.ok(
      execution
        .bytes()
        .subarray(size + 1)
        .equals(Buffer.from(numbered)),
    )
  })

  it('and its end do not hold up what others write, nor a kill', async () => {
    const launcher = launch(SURVIVES)
    const large = launcher.kept('head -c 5000000 /dev/zero')
    await large.ended
    const victim = launcher.kept('sleep 60')
    await victim.started
    launcher.disconnect()
    await launcher.connect(false)
    launcher.attach(large, 0)
    await launcher.idles()
    launcher.attach(victim)
    launcher.kill(victim)
    const other = launcher.script('echo other')
    launcher.read()
    assert.equal(await other.result(), 'other\n')
    await victim.ended
    await large.result()
  })
})

/** Answers numbers from 0 to below a limit, from a seed alone (Park and Miller). */
function random(seed: number): (limit: number) => number {
  let state = (seed % 2_147_483_646) + 1
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647
    return state % limit
  }
}
