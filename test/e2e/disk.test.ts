import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { platform } from '../../src/os/index.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'

const { notSeparate, unboundedDisk } = noLauncher === undefined ? platform.inspectIsolation('/tmp') : {}
const skip = noUsers || (notSeparate ?? unboundedDisk ?? false)
const MiB = 2 ** 20
const BOUND = 64 * MiB

/** Loop devices of files in a folder. */
function loopDevices(dir: string): string[] {
  return readdirSync('/sys/block').filter((name) => {
    const backing = `/sys/block/${name}/loop/backing_file`
    return existsSync(backing) && readFileSync(backing, 'utf8').startsWith(dir)
  })
}

describe('what functions keep on disk', { skip }, () => {
  let user: SystemUser
  let dir: string
  let agent: TestAgent
  let calls: Calls

  const start = async (functions: Readonly<Record<string, unknown>> = {}) => {
    const config = { run_as: user.name, functions: { disk_bytes: BOUND, ...functions } }
    agent = await startTestAgent({ config, dir })
    calls = new Calls(agent.client)
  }
  before(async () => {
    user = createUser()
    dir = makeTempDir('flux-disk-')
    chmodSync(dir, 0o755)
    await start()
    await calls.script('one', 'cd; eval "$1" 2>&1')
    await calls.script('other', 'cd; eval "$1" 2>&1')
  })
  after(async () => {
    await agent.stop()
    user.remove()
  })

  async function run(lines: string, name = 'one'): Promise<string> {
    const { output, error } = await calls.execute({ function_name: name, args: [lines] })
    return `${output}${error}`
  }

  it("is bounded, a function's home and temporary folders together, and no other function's", async () => {
    assert.match(
      await run(`head -c ${BOUND / 2} /dev/zero >"$TMPDIR/file" && head -c ${BOUND} /dev/zero >large`),
      /No space/,
    )
    const kept = Number(await run('stat -c %s large'))
    assert.ok(kept > BOUND / 3 && kept < BOUND / 2, String(kept))
    assert.equal(await run(`head -c ${BOUND / 2} /dev/zero >large && stat -c %s large`, 'other'), `${BOUND / 2}\n`)
    assert.equal(await run('rm large; echo kept >file'), '')
  })

  it('is there again after a crash of the agent, a stop and a redeploy', async () => {
    await agent.kill()
    await start()
    assert.equal(await run('cat file'), 'kept\n')
    await agent.stop()
    await eventually('nothing is mounted after a stop', () => loopDevices(dir).length === 0)
    await start()
    assert.equal(await run('cat file'), 'kept\n')
    await calls.script('one', 'cd; cat file')
    assert.equal(await run(''), 'kept\n')
  })
})
