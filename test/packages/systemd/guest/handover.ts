import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning } from '../../../../harness/processes.js'
import { bootstrap, calling, configure } from './bootstrap.js'
import { deployCount, numbers, startCount } from './count.js'
import { property, run, runnerProcesses, SHARED, UNIT, versions } from './machine.js'

const SLEEPERS = 200
const PRINTERS = 20
const PRINTED = 180
/** A start takes 0.5 s outside, and four times that in the guest; many times that on a busy machine. */
const GAP_SECONDS = 30

run('useradd', '--create-home', 'admin')
run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
bootstrap()
configure({ drain_seconds: 1, max_tasks: 1000 })
run('systemctl', 'restart', UNIT)

interface Upgrade {
  readonly code: number | null
  readonly printed: string
  /** For how long no agent answered. */
  readonly gapSeconds: number
}

/** Installs a package while it is asked again and again which version serves. */
async function upgrade(deb: string, version: string): Promise<Upgrade> {
  const dpkg = spawn('dpkg', ['-i', join(SHARED, deb)])
  let printed = ''
  for (const stream of [dpkg.stdout, dpkg.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text))
  const exited = new Promise<number | null>((resolve) => dpkg.on('close', resolve))
  let lastBefore = performance.now()
  for (;;) {
    const asked = performance.now()
    const serving = await calling((calls) => calls.health()).catch(() => undefined)
    if (serving?.version === version) break
    if (serving) lastBefore = performance.now()
    else if (asked - lastBefore > 120_000) throw new Error(`no agent serves: ${printed}`)
    await sleep(50)
  }
  const gapSeconds = (performance.now() - lastBefore) / 1000
  return { code: await exited, printed, gapSeconds }
}

describe('an upgrade of an agent that runs', () => {
  it('leaves executions running, says how many, and loses none of their output', async (t) => {
    const { sleepers, printers } = await calling(async (calls) => {
      await deployCount(calls)
      await calls.script('nap', 'exec sleep 3600', { timeout_seconds: 3600, max_concurrency: 1000 })
      const ids = { sleepers: [] as string[], printers: [] as string[] }
      for (let at = 0; at < SLEEPERS; at++) ids.sleepers.push(await calls.start('nap'))
      for (let at = 0; at < PRINTERS; at++) ids.printers.push(await startCount(calls, PRINTED))
      return ids
    })
    const sleeping = runnerProcesses()
    assert.ok(sleeping.length >= SLEEPERS + 2 * PRINTERS)

    const { code, printed, gapSeconds } = await upgrade('newer.deb', versions.newer)
    t.diagnostic(`no agent answered for ${gapSeconds.toFixed(2)} s`)

    assert.equal(code, 0, printed)
    assert.match(printed, new RegExp(`\\b${SLEEPERS + PRINTERS} executions\\b`))
    assert.ok(gapSeconds < GAP_SECONDS, `${gapSeconds} s`)
    assert.ok(sleeping.filter(isRunning).length >= SLEEPERS + PRINTERS)
    await calling(async (calls) => {
      assert.equal((await calls.status()).active_tasks, SLEEPERS + PRINTERS)
      for (const id of sleepers) assert.equal((await calls.cancel(id)).success, true)
      for (const id of printers) {
        const { status, output } = await calls.ended(id, 2 * PRINTED)
        assert.deepEqual({ status, output }, { status: 'success', output: numbers(PRINTED) })
      }
    })
    assert.deepEqual(runnerProcesses(), [])
  })

  it('leaves the pause behind a crash as long as it was', () => {
    assert.equal(existsSync(`/run/systemd/system/${UNIT}.d`), false)
    assert.equal(property('RestartUSec'), '2s')
  })
})

describe('a downgrade', () => {
  it('drains', async () => {
    await calling((calls) => startCount(calls, 600))
    const { code, printed } = await upgrade('flux-agent.deb', versions.built)
    assert.equal(code, 0, printed)
    assert.deepEqual(runnerProcesses(), [])
  })
})
