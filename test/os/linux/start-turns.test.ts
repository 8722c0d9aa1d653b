import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { childrenOf } from '../../../harness/proc.js'
import { platform } from '../../../src/os/index.js'
import type { ProcessStarter } from '../../../src/os/platform.js'
import { request, script, start } from './processes.js'

const AT_ONCE = 20

describe('many starts at once', { skip: process.platform !== 'linux' }, () => {
  let starter: ProcessStarter

  beforeEach(() => {
    starter = platform.createStarter({ kind: 'child_process', scratchDir: join(makeTempDir('flux-starter-'), 'run') })
  })
  afterEach(() => starter.close())

  it('leave turns of the event loop to others', async () => {
    let turns = 0
    let over = false
    const count = () => {
      turns++
      if (!over) setImmediate(count)
    }
    count()
    const startedIn = await Promise.all(
      Array.from({ length: AT_ONCE }, () => start(starter, script('true')).then(() => turns)),
    )
    over = true
    assert.equal(new Set(startedIn).size, AT_ONCE, `started in turns ${startedIn}`)
  })

  it('do not happen any more for those that are given up meanwhile', async () => {
    const open = () => readdirSync('/proc/self/fd').length
    const before = open()
    const starts = Array.from({ length: AT_ONCE }, () => request(starter, script('sleep 60')))
    await starts[0]?.started
    for (const { process } of starts) process.kill('cancelled')
    const ends = await Promise.all(starts.map(({ ended }) => ended))
    const unstarted = ends.filter(({ end }) => end.kind === 'never started')
    assert.ok(unstarted.length >= AT_ONCE - 2, `${unstarted.length} were not started`)
    await eventually('nothing runs', () => childrenOf(process.pid).length === 0)
    await eventually('no descriptor is left', () => open() <= before)
  })
})
