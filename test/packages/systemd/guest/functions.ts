import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { calling } from './bootstrap.js'
import { mainPid, property } from './machine.js'

/** What a function, in the unit as well but another user, could send to systemd. */
const CLAIMS = `
for state in STOPPING=1 READY=1 STATUS=forged WATCHDOG=trigger MAINPID=$$ ; do
  NOTIFY_SOCKET=/run/systemd/notify systemd-notify "$state" || true
done
echo sent`

describe('functions in the unit', () => {
  it('are killed for their own memory limit, with that in the record, and the agent goes on', () =>
    calling(async (calls) => {
      const before = mainPid()
      await calls.script('greedy', 'exec tail /dev/zero', { memory_mb: 64 })
      const record = await calls.ended(await calls.start('greedy'))
      assert.equal(record.status, 'failed')
      assert.equal(record.oom_killed, true)
      assert.match(record.error ?? '', /memory/)
      assert.equal(property('ActiveState'), 'active')
      assert.equal(mainPid(), before)
    }))

  it('cannot tell systemd anything in the name of the agent', () =>
    calling(async (calls) => {
      const before = mainPid()
      await calls.script('claim', CLAIMS)
      assert.match((await calls.execute({ function_name: 'claim' })).output.toString(), /sent/)
      assert.equal(mainPid(), before)
      assert.equal(property('ActiveState'), 'active')
      assert.doesNotMatch(property('StatusText'), /forged/)
    }))

  it('write to their home and to /tmp, make namespaces, use the loopback and gain no rights', () =>
    calling(async (calls) => {
      await calls.script(
        'free',
        `set -e
echo mine >"$HOME/mine-$$" && rm "$HOME/mine-$$"
echo mine >/tmp/mine-$$ && rm /tmp/mine-$$
unshare --user --map-root-user --mount --pid --fork mount -t proc proc /proc
bash -c 'exec 3<>/dev/tcp/127.0.0.1/50052'
grep NoNewPrivs /proc/self/status
setpriv --dump | grep -i 'capability bounding' | head -1`,
      )
      const { output, error } = await calls.execute({ function_name: 'free' })
      assert.equal(error, '', output.toString())
      assert.match(output.toString(), /NoNewPrivs:\s1/)
    }))

  it('find no variables of systemd in their environment', () =>
    calling(async (calls) => {
      await calls.script('variables', 'env')
      const variables = (await calls.execute({ function_name: 'variables' })).output.toString()
      assert.doesNotMatch(variables, /NOTIFY_SOCKET|WATCHDOG|INVOCATION_ID|JOURNAL_STREAM|AGENT_CONFIG|STATE_DIRECTORY/)
    }))
})
