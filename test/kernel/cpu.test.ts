import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { followed } from '../support/live-calls.js'
import { notInGuest } from './guest.js'

describe('cpu_millicores', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({ config: { isolation: 'required' } })
    calls = new Calls(agent.client)
  })
  after(() => agent?.stop())

  /** Which part of a core an endless loop got, alone in the guest until its timeout. */
  async function share(t: TestContext, cpu_millicores: number): Promise<number> {
    await calls.script('busy', 'while :; do :; done', { cpu_millicores, timeout_seconds: 3 })
    const [, { cpu_ms, duration_ms }] = await followed(agent.operations, await calls.start('busy'))
    t.diagnostic(`cpu_millicores ${cpu_millicores}: ${cpu_ms} ms in ${duration_ms} ms`)
    return Number(cpu_ms) / Number(duration_ms)
  }

  it('slows a function down to its part of a core', async (t) => {
    const part = await share(t, 200)
    assert.ok(part > 0.1 && part < 0.3, `${part} of a core`)
  })

  it('of 0 leaves it a whole one, also in the cgroup of one that was slowed down', async (t) => {
    const part = await share(t, 0)
    assert.ok(part > 0.6 && part < 1.1, `${part} of a core`)
  })

  it('counts for what all processes of an execution use together', async () => {
    const busy = "sh -c 'while :; do :; done' &"
    await calls.script('crowd', `${busy} ${busy} setsid ${busy} wait`, { cpu_millicores: 200, timeout_seconds: 2 })
    const [, { cpu_ms, duration_ms }] = await followed(agent.operations, await calls.start('crowd'))
    const part = Number(cpu_ms) / Number(duration_ms)
    assert.ok(part > 0.1 && part < 0.4, `${part} of a core`)
  })
})
