import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { CONFIG_FILE, calling, configure } from './bootstrap.js'
import { attempt, eventuallyInGuest, journal, mainPid, run, UNIT } from './machine.js'

describe('systemctl reload', () => {
  it('takes on limits while the agent goes on', async () => {
    const before = mainPid()
    configure({ max_tasks: 7 })
    run('systemctl', 'reload', UNIT)
    await applied(7)
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
    configure({ max_tasks: 8 }, ['other'])
    run('systemctl', 'reload', UNIT)
    await applied(8, 'other')
    await assert.rejects(
      calling((calls) => calls.health()),
      /PERMISSION_DENIED/,
    )
  })

  it('takes on the log level', async () => {
    configure({ max_tasks: 9, log_level: 'error' })
    run('systemctl', 'reload', UNIT)
    await applied(9)
    const before = stops()
    configure({})
    run('systemctl', 'restart', UNIT)
    assert.equal(stops(), before)
    run('systemctl', 'restart', UNIT)
    assert.equal(stops(), before + 1)
  })
})

/** A reload is only asked for: it is done when the last of what it changes can be seen. */
async function applied(maxTasks: number, caller = 'flux'): Promise<void> {
  await eventuallyInGuest(`max_tasks is ${maxTasks}`, async () => {
    const { max_tasks } = await calling((calls) => calls.status(), caller)
    return max_tasks === maxTasks
  })
}

/** How often an agent has said, at level info, that it stops. */
function stops(): number {
  return journal().filter((line) => line.startsWith('stopping')).length
}
