import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import { LINK } from '../../harness/zip.js'
import { scriptZip, versionsOf } from '../support/apps.js'
import { agentFor } from '../support/describe-agent.js'

const MB = 1_000_000
/** By fives. */
const FURTHER_DEPLOYS = process.env['CI'] ? 20 : 5

describe('deployed code', { skip: process.platform === 'win32' }, () => {
  const config = { name: 'hello', handler: 'main.sh' }

  async function deployed(agent: TestAgent, archive: Buffer): Promise<Calls> {
    const calls = new Calls(agent.client)
    assert.deepEqual(await calls.deploy('hello', archive, config), { success: true, message: 'function deployed' })
    return calls
  }

  async function restarted({ dir }: TestAgent): Promise<{ agent: TestAgent; calls: Calls }> {
    const agent = await startTestAgent({ dir })
    return { agent, calls: new Calls(agent.client) }
  }

  it('serves again after a restart, and is known to be the same', async (t) => {
    const archive = scriptZip('echo hello')
    const first = await startTestAgent()
    await deployed(first, archive)
    await first.stop()
    const { agent, calls } = await restarted(first)
    t.after(() => agent.stop())
    assert.equal((await calls.execute({ function_name: 'hello' })).output.toString(), 'hello\n')
    assert.equal((await calls.deploy('hello', archive)).message, 'function deployed already')
  })

  it('with a link to the folder that it is in serves again after a restart', async (t) => {
    const first = await startTestAgent()
    await deployed(
      first,
      scriptZip('cat here/here/name', [
        { name: 'name', contents: 'found' },
        { name: 'here', contents: '.', mode: LINK },
      ]),
    )
    await first.kill()
    const { agent, calls } = await restarted(first)
    t.after(() => agent.stop())
    assert.equal((await calls.execute({ function_name: 'hello' })).output.toString(), 'found')
  })

  it('of the version before serves after a kill in the middle of a deploy, and nothing else is left', async (t) => {
    const first = await startTestAgent()
    const calls = await deployed(first, scriptZip('echo old'))
    const [old] = versionsOf(first, 'hello')
    const files = Array.from({ length: 20_000 }, (_, n) => ({ name: `f${n}`, contents: 'x', stored: true }))
    const interrupted = calls.deploy('hello', scriptZip('echo new', files), config).catch(() => 'interrupted')
    await eventually('the new version is being unpacked', () => versionsOf(first, 'hello').length > 1)
    await first.kill()
    assert.equal(await interrupted, 'interrupted')
    assert.equal(versionsOf(first, 'hello').length, 2)

    const { agent, calls: again } = await restarted(first)
    t.after(() => agent.stop())
    assert.equal((await again.execute({ function_name: 'hello' })).output.toString(), 'old\n')
    assert.deepEqual(versionsOf(agent, 'hello'), [old])
  })

  it('that executions still used when the agent was killed is deleted once they have ended', async (t) => {
    const first = await startTestAgent()
    const calls = await deployed(first, scriptZip('echo old; exec sleep 60'))
    const id = await calls.start('hello')
    await calls.printed(id, 'old')
    await deployed(first, scriptZip('echo new'))
    assert.equal(versionsOf(first, 'hello').length, 2)
    const { output } = await calls.execute({ function_name: 'hello' })
    assert.equal(output.toString(), 'new\n')
    await first.kill()
    const { agent, calls: again } = await restarted(first)
    t.after(() => agent.stop())
    assert.equal(versionsOf(agent, 'hello').length, 2)
    assert.equal((await again.execute({ function_name: 'hello' })).output.toString(), 'new\n')
    assert.equal((await again.cancel(id)).success, true)
    await eventually('it is deleted', () => versionsOf(agent, 'hello').length === 1)
    assert.equal((await again.execute({ function_name: 'hello' })).output.toString(), 'new\n')
  })

  it('does not stay in the memory of the agent', { skip: process.platform !== 'linux' }, async (t) => {
    const [agent] = await agentFor(t)
    // The least of five: how much of what is not needed any more is still there, the collector decides.
    const data = { name: 'data', contents: randomBytes(20 * MB), stored: true }
    let version = 0
    const leastInFive = async () => {
      const memory: number[] = []
      for (let n = 0; n < 5; n++) {
        data.contents.writeUInt32LE(++version)
        await deployed(agent, scriptZip('true', [data]))
        memory.push(ownMemoryMiB(agent.pid))
      }
      return Math.min(...memory)
    }
    await leastInFive()
    const early = await leastInFive()
    for (let n = 0; n < FURTHER_DEPLOYS; n += 5) await leastInFive()
    const late = await leastInFive()
    t.diagnostic(
      `at least ${early.toFixed(0)} MiB in 5 deploys of 20 MB, ${late.toFixed(0)} MiB in 5 after ${FURTHER_DEPLOYS} more`,
    )
    assert.ok(late < early + 250, `${early} MiB have become ${late} MiB`)
    await eventually('one version is left', () => versionsOf(agent, 'hello').length === 1)
  })
})
