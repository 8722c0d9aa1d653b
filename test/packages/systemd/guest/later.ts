import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { calling } from './bootstrap.js'
import { attempt } from './machine.js'

const LINGERING = '/var/lib/systemd/linger'
/** What would run for a function when it has ended, or outside its cgroup. */
const ATTEMPTS: Readonly<Record<string, string>> = {
  'a user manager that lingers': 'loginctl enable-linger || loginctl enable-linger $(id -u)',
  'a user manager that lingers, by its file': `touch ${LINGERING}/$(id -un)`,
  'a unit of a user manager': 'systemd-run --user true || XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user true',
  'a unit of the system': 'systemd-run true || systemd-run --uid=$(id -u) true',
  'a session': 'systemctl start user@$(id -u).service',
  'a job of cron': "echo '* * * * * true' | crontab -",
  'a job of cron, by its file': 'touch /var/spool/cron/crontabs/$(id -un) || touch /etc/cron.d/job',
  'a job of at': 'echo true | at now',
  'a job of at, by its file': 'touch /var/spool/cron/atjobs/job || touch /var/spool/at/job',
}

describe('a function in the unit gets no', () => {
  for (const [what, lines] of Object.entries(ATTEMPTS)) {
    it(what, () =>
      calling(async (calls) => {
        const before = unitsOfUsers()
        await calls.script('later', lines)
        const { error, output } = await calls.execute({ function_name: 'later' })
        assert.match(error, /^exit code \d+$/, output.toString())
        assert.match(
          output.toString(),
          /denied|required|not found|Failed to|Could not|No such file|cannot touch|not allowed/,
        )
        assert.deepEqual(existsSync(LINGERING) ? readdirSync(LINGERING) : [], [])
        assert.equal(unitsOfUsers(), before)
      }),
    )
  }
})

function unitsOfUsers(): string {
  return attempt('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'user@*', 'run-*.service').output
}
