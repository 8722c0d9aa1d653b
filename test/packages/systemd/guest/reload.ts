import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { CONFIG_FILE, calling, configure } from './bootstrap.js'
import { attempt, eventuallyInGuest, journal, mainPid, run, UNIT } from './machine.js'

describe('systemctl reload', () => {
  after(() => {
    configure({})
    run('systemctl', 'reload', UNIT)
  })

  it('takes on limits and log level while the agent goes on', async () => {
    const before = mainPid()
    configure({ max_tasks: 7, log_level: 'debug' })
    run('systemctl', 'reload', UNIT)
    await eventuallyInGuest('the limit is the new one', async () => {
      const { max_tasks } = await calling((calls) => calls.status())
      return max_tasks === 7
    })
    await eventuallyInGuest('debug lines are in the journal', () =>
      journal('-p', 'debug', '--output=json').some(isDebug),
    )
    assert.equal(mainPid(), before)
  })

  it('fails with the reason where the configuration is wrong, and the agent goes on with the one it has', async () => {
    const before = mainPid()
    writeFileSync(CONFIG_FILE, 'agent_id: guest\nmax_tasks: many\n')
    const { status } = attempt('systemctl', 'reload', UNIT)
    assert.notEqual(status, 0)
    assert.match(journal('--lines=20').join('\n'), /max_tasks/)
    assert.equal(mainPid(), before)
    assert.equal((await calling((calls) => calls.status())).max_tasks, 7)
  })

  it('lets another client in, and the one before no more', async () => {
    configure({ max_tasks: 7 }, ['other'])
    run('systemctl', 'reload', UNIT)
    await eventuallyInGuest(
      'the other may call',
      async () => (await calling((calls) => calls.health(), 'other')).healthy,
    )
    await assert.rejects(
      calling((calls) => calls.health()),
      /PERMISSION_DENIED/,
    )
  })
})

function isDebug(line: string): boolean {
  return (JSON.parse(line) as { PRIORITY: string }).PRIORITY === '7'
}
