import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import { LINK } from '../../harness/zip.js'
import { scriptZip, versionsOf } from '../support/apps.js'
import { describeAgent } from '../support/describe-agent.js'

const MB = 1_000_000
/** By fives. */
const FURTHER_DEPLOYS = process.env['CI'] ? 20 : 5

describeAgent('deployed code', { skip: process.platform === 'win32' }, ({ agent, calls }) => {
  async function deployed(name: string, archive: Buffer): Promise<void> {
    const config = { name, handler: 'main.sh' }
    assert.deepEqual(await calls.deploy(name, archive, config), { success: true, message: 'function deployed' })
  }

  async function prints(name: string, text: string): Promise<void> {
    assert.equal((await calls.execute({ function_name: name })).output.toString(), text)
  }

  it('serves again after a restart, and is known to be the same', async () => {
    const archive = scriptZip('echo hello')
    await deployed('hello', archive)
    await agent.restart()
    await prints('hello', 'hello\n')
    assert.equal((await calls.deploy('hello', archive)).message, 'function deployed already')
  })

  it('with a link to the folder that it is in serves again after a restart', async () => {
    await deployed(
      'linked',
      scriptZip('cat here/here/name', [
        { name: 'name', contents: 'found' },
        { name: 'here', contents: '.', mode: LINK },
      ]),
    )
    await agent.kill()
    await agent.start()
    await prints('linked', 'found')
  })

  it('of the version before serves after a kill in the middle of a deploy, and nothing else is left', async () => {
    await deployed('large', scriptZip('echo old'))
    const [old] = versionsOf(agent, 'large')
    const files = Array.from({ length: 20_000 }, (_, n) => ({ name: `f${n}`, contents: 'x', stored: true }))
    const archive = scriptZip('echo new', files)
    const interrupted = calls.deploy('large', archive, { name: 'large', handler: 'main.sh' }).catch(() => 'interrupted')
    await eventually('the new version is being unpacked', () => versionsOf(agent, 'large').length > 1)
    await agent.kill()
    assert.equal(await interrupted, 'interrupted')
    assert.equal(versionsOf(agent, 'large').length, 2)

    await agent.start()
    await prints('large', 'old\n')
    assert.deepEqual(versionsOf(agent, 'large'), [old])
  })

  it('that executions still used when the agent was killed is deleted once they have ended', async () => {
    await deployed('used', scriptZip('echo old; exec sleep 60'))
    const id = await calls.start('used')
    await calls.printed(id, 'old')
    await deployed('used', scriptZip('echo new'))
    assert.equal(versionsOf(agent, 'used').length, 2)
    await prints('used', 'new\n')
    await agent.kill()
    await agent.start()
    assert.equal(versionsOf(agent, 'used').length, 2)
    await prints('used', 'new\n')
    assert.equal((await calls.cancel(id)).success, true)
    await eventually('it is deleted', () => versionsOf(agent, 'used').length === 1)
    await prints('used', 'new\n')
  })

  it('does not stay in the memory of the agent', { skip: process.platform !== 'linux' }, async (t) => {
    // The least of five: how much of what is not needed any more is still there, the collector decides.
    const data = { name: 'data', contents: randomBytes(20 * MB), stored: true }
    let version = 0
    const leastInFive = async () => {
      const memory: number[] = []
      for (let n = 0; n < 5; n++) {
        data.contents.writeUInt32LE(++version)
        await deployed('hello', scriptZip('true', [data]))
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
