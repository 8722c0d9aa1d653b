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
const TMP_BOUND = 8 * MiB

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
    const config = { run_as: user.name, functions: { disk_bytes: BOUND, tmp_bytes: TMP_BOUND, ...functions } }
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

  const FAULTS: readonly (readonly [what: string, lines: string, error: string])[] = [
    [
      'temporary files',
      `head -c ${2 * TMP_BOUND} /dev/zero >/tmp/large`,
      'exit code 1; function one has used up its temporary files: functions.tmp_bytes is 8MiB',
    ],
    [
      'temporary folder',
      `head -c ${2 * BOUND} /dev/zero >"$TMPDIR/large"`,
      'exit code 1; function one has used up what it may keep on disk: functions.disk_bytes is 64MiB',
    ],
    [
      'home',
      `head -c ${2 * BOUND} /dev/zero >large || { kill -KILL $$; }`,
      'killed by SIGKILL; function one has used up what it may keep on disk: functions.disk_bytes is 64MiB',
    ],
  ]
  for (const [what, lines, error] of FAULTS) {
    it(`is named with its bound where a function that has used up its ${what} fails`, async () => {
      const request = { function_name: 'one', args: [lines] }
      assert.equal((await calls.execute(request)).error, error)
      await run('rm -f large')
      await eventually('its room is free again', async () => (await run('df --output=pcent . | tail -1')) < ' 50%', 60)
      const id = await calls.start('one', [lines])
      assert.equal((await calls.ended(id)).error, error)
      await run('rm -f large')
      await eventually('its room is free again', async () => (await run('df --output=pcent . | tail -1')) < ' 50%', 60)
      assert.equal((await calls.execute({ function_name: 'one', args: ['exit 7'] })).error, 'exit code 7')
    })
  }

  it('does not keep a function from starting once it is used up, also after a crash of the agent', async () => {
    await run(`head -c ${2 * BOUND} /dev/zero >large`)
    const started = async () => {
      assert.equal(await run('echo started'), 'started\n')
      const { error } = await calls.execute({ function_name: 'one', args: ['exit 3'] })
      assert.match(error, /^exit code 3; function one has used up what it may keep on disk: /)
    }
    await started()
    await agent.kill()
    await start()
    await started()
    assert.equal(await run('rm large'), '')
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
