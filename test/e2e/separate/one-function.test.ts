import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { launchersOf } from '../../../harness/launchers.js'
import { runCli } from '../../support/cli.js'
import { describeSeparate, type FunctionsSuite } from '../../support/describe-functions.js'
import { OPEN_FOLDERS } from '../../support/opponents.js'

const WORKERS = 2
/** So many that each worker has some. */
const AT_ONCE = 8
const TOGETHER = 'exec 9> /tmp/lock; flock 9; echo locked; exec sleep 60'

const RESTARTS: Readonly<Record<string, (suite: FunctionsSuite) => Promise<unknown>>> = {
  'a handover': async ({ agent }) => {
    const { code, stderr } = await runCli(['handover', '--config', agent.configFile])
    assert.equal(code, 0, stderr)
    await agent.start()
  },
  'a crash of the agent': async ({ agent }) => {
    await agent.kill()
    await agent.start()
  },
}

describeSeparate('executions of one function', { config: { workers: WORKERS } }, (suite) => {
  const { agent, calls } = suite
  before(() => calls.script('run', 'eval "$1"'))

  async function run(lines: string): Promise<string> {
    const { output, error } = await calls.execute({ function_name: 'run', args: [lines] })
    return `${output}${error}`
  }

  /** Ends them all. */
  async function end(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => calls.cancel(id)))
  }

  async function launcherOf(id: string): Promise<number> {
    const { output } = await calls.printed(id, '\n')
    return Number(
      /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${Number.parseInt(output ?? '', 10)}/status`, 'utf8'))?.[1],
    )
  }

  it('share locks and temporary files while they run, whichever launchers they have', async () => {
    const holder = await calls.start('run', [TOGETHER])
    await calls.printed(holder, 'locked')
    const lines = `echo $$; flock --nonblock /tmp/lock echo taken || echo shut out
      for folder in ${OPEN_FOLDERS.join(' ')}; do echo >> $folder/seen; done; exec sleep 60`
    const ids = await Promise.all(Array.from({ length: AT_ONCE }, () => calls.start('run', [lines])))
    for (const id of ids) await calls.printed(id, 'shut out')
    const launchers = new Set(await Promise.all(ids.map(launcherOf)))
    assert.deepEqual([...launchers].sort(), launchersOf(agent.pid).sort())
    assert.equal(launchers.size, WORKERS)
    const seen = OPEN_FOLDERS.map((folder) => `${folder}/seen`).join(' ')
    await eventually('all have written', async () => {
      const counts = (await run(`for file in ${seen}; do wc -l < $file; done`)).trim().split('\n')
      return counts.every((count) => Number(count) === AT_ONCE)
    })
    await end([holder, ...ids])
    assert.match(await run(`ls ${seen}`), /^(ls: cannot access .*: No such file or directory\n){4}exit code 2$/)
  })

  for (const [what, restart] of Object.entries(RESTARTS)) {
    it(`go on together after ${what}`, async () => {
      const holder = await calls.start('run', [`ipcmk -S 1 > /dev/null; ${TOGETHER}`])
      await calls.printed(holder, 'locked')
      await restart(suite)
      const look = 'flock --nonblock /tmp/lock echo taken; grep -vc key /proc/sysvipc/sem'
      const said = await Promise.all(Array.from({ length: AT_ONCE }, () => run(look)))
      assert.deepEqual(said, Array(AT_ONCE).fill('1\n'))
      await end([holder])
      await eventually('nothing of it is left', async () => (await run(look)) === 'taken\n0\nexit code 1')
    })
  }

  it('find what earlier ones wrote into the home, after a restart and a redeploy, too', async () => {
    assert.equal(await run('mkdir ~/kept && echo one > ~/kept/file'), '')
    await agent.restart()
    assert.equal(await run('cat ~/kept/file; echo two >> ~/kept/file'), 'one\n')
    await calls.script('run', '# another version\neval "$1"')
    assert.equal(await run('cat ~/kept/file'), 'one\ntwo\n')
    await calls.script('other', 'ls -A ~')
    const { output } = await calls.execute({ function_name: 'other' })
    assert.equal(output.toString(), 'apps\n')
  })
})
