import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { launchersBelow, noLauncher } from '../../harness/launchers.js'
import { openDescriptors } from '../../harness/proc.js'
import { childrenOf } from '../../src/os/linux/cgroup-files.js'
import { cgroupFolder, findCgroupPlace } from '../../src/os/linux/cgroups.js'
import { Survivors } from '../support/survivors.js'

/** By hand 600. */
const SECONDS = Number(process.env['SURVIVAL_SECONDS'] ?? (process.env['CI'] ? 60 : 10))
const BETWEEN_MS = SECONDS >= 60 ? 5_000 : 2_500
const LONG = 10
/** Rounds that belong to the warm-up: buffers grow to their size. */
const WARM_UP = 3
/** Of the launcher of the long ones, which every agent takes over. */
const MOST_GROWN_KB = 512

describe('an agent that is killed all the time', { skip: noLauncher }, () => {
  it('loses nothing, and nothing grows', { timeout: (SECONDS + 240) * 1000 }, async (t) => {
    let agent: TestAgent = await startTestAgent({ config: { drain_seconds: 1 } })
    const state = join(agent.dir, 'state')
    const calls = new Calls(() => agent.client)
    const survivors = new Survivors(makeTempDir('flux-survivors-'))
    await survivors.deploy(calls)
    const [oldest] = launchersBelow(state) as [number]
    for (let i = 0; i < LONG; i++) await survivors.lines(calls, (SECONDS + 10) * 10, 0.1, i)

    const seen: Seen[] = []
    const begun = performance.now()
    while (performance.now() - begun < SECONDS * 1000) {
      for (let i = 0; i < 5; i++) {
        await survivors.lines(calls, 5, 0.1, 0)
        await survivors.flood(calls, 5_000, 1)
      }
      await sleep(BETWEEN_MS - 500 + Math.random() * 1000)
      await agent.kill()
      agent = await startTestAgent({ config: { drain_seconds: 1 }, dir: agent.dir })
      // The long ones are left, in their launcher, and one launcher for what comes.
      await eventually('the launchers of what has ended have left', () => launchersBelow(state).length <= 3, 20)
      seen.push(look(state, oldest))
    }
    for (const id of survivors.ids) survivors.check(await calls.ended(id, SECONDS + 60))
    t.diagnostic(`${survivors.ids.length} executions, ${seen.length} kills; of the oldest launcher ${told(seen)}`)
    const [early, late] = [seen[Math.min(WARM_UP, seen.length - 1)] as Seen, seen.at(-1) as Seen]
    assert.ok(late.residentKb < early.residentKb + MOST_GROWN_KB, told(seen))
    assert.ok(late.descriptors <= early.descriptors + 2, told(seen))
    assert.ok(late.sockets <= 3 && late.cgroups <= early.cgroups + 30, told(seen))
    assert.equal(await agent.stop(), 0)
    assert.deepEqual(launchersBelow(state), [])
    assert.deepEqual(readdirSync(join(state, 'run')), [])
  })
})

interface Seen {
  readonly residentKb: number
  readonly descriptors: number
  readonly sockets: number
  readonly cgroups: number
}

function look(state: string, launcher: number): Seen {
  const [, resident = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${launcher}/status`, 'utf8')) ?? []
  const place = findCgroupPlace()
  const dir = place.kind === 'shared' ? cgroupFolder(place, state) : undefined
  return {
    residentKb: Number(resident),
    descriptors: openDescriptors(launcher).length,
    sockets: readdirSync(join(state, 'run')).filter((name) => name.endsWith('.sock')).length,
    cgroups: dir ? childrenOf(dir).flatMap((name) => childrenOf(join(dir, name))).length : 0,
  }
}

function told(seen: readonly Seen[]): string {
  const parts = ([key, name]: readonly [keyof Seen, string]) => `${name} ${seen.map((one) => one[key]).join(' ')}`
  return (
    [
      ['residentKb', 'KiB'],
      ['descriptors', 'descriptors'],
      ['sockets', 'sockets'],
      ['cgroups', 'cgroups'],
    ] as const
  )
    .map(parts)
    .join(', ')
}
