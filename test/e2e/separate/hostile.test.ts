import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { describeBoth, type FunctionsSuite } from '../../support/describe-functions.js'
import { isAtWork, Opponents, SECRET } from '../../support/opponents.js'
import { ATTACKS, ATTACKS_IN_NAMESPACES, type Attack, REFUSED } from './attacks.js'

const IN_NAMESPACE = "unshare -Urm sh -ec 'mount -t tmpfs none ~; touch ~/there; mount -t tmpfs none /usr/share'"
const HELD_UP_MS = 5_000
/** Those that are made once more after each change: outside CI some of each way. */
const AGAIN = Object.values(ATTACKS).flatMap((attacks) =>
  process.env['CI'] ? attacks : attacks.filter((_, index) => index % 4 === 0),
)
const noNamespaces =
  spawnSync('unshare', ['-Urm', 'true'], { uid: 65534, gid: 65534 }).status !== 0 && 'no user namespaces for users'

const CHANGES: Readonly<Record<string, (suite: FunctionsSuite, opponents: Opponents) => Promise<unknown>>> = {
  'a crash of the agent': async ({ agent }) => {
    await agent.kill()
    await agent.start()
  },
  'a redeploy of the other one': (_, opponents) => opponents.deploy('victim'),
  'a redeploy of its own': (_, opponents) => opponents.deploy('attacker'),
}

describeBoth('a function that attacks another one', {}, (suite) => {
  const { calls, separate } = suite
  const opponents = new Opponents(suite)
  before(() => opponents.deploy())
  after(() => opponents.endIt())

  /** Where functions share one user, all succeeds that ever can: so none fails by itself where they do not. */
  async function provesItself({ lines, harmed, neverPossible }: Attack): Promise<void> {
    const victim = await opponents.itsExecution()
    const { succeeded, text } = await opponents.attacks(lines)
    if (!harmed) return assert.equal(succeeded, !neverPossible, text)
    await eventually('the victim is ended or stopped', () => harmed(victim))
    await opponents.endIt()
  }

  async function fails({ lines, harmed }: Attack): Promise<void> {
    const victim = await opponents.itsExecution()
    const { succeeded, text } = await opponents.attacks(lines)
    assert.ok(!text.includes(SECRET), text)
    if (!harmed) {
      assert.equal(succeeded, false, text)
      assert.match(text, REFUSED)
    }
    assert.ok(isAtWork(victim.pid), text)
  }

  for (const [way, attacks] of Object.entries(ATTACKS)) {
    describe(way, () => {
      for (const attack of attacks) {
        it(attack.name, () => (separate ? fails(attack) : provesItself(attack)))
      }
    })
  }

  describe('from a user namespace', { skip: separate ? noNamespaces : 'nothing is covered' }, () => {
    it('can mount what it likes for itself', async () => {
      const mounts = '; mount --bind /usr /mnt; mount -t overlay -o lowerdir=/usr/bin:/usr/share none /mnt; ls /mnt/env'
      const { succeeded, text } = await opponents.attacks(IN_NAMESPACE.replace(/'$/, `${mounts}'`))
      assert.ok(succeeded, text)
    })

    for (const attack of ATTACKS_IN_NAMESPACES) it(attack.name, () => fails(attack))

    it('shows nobody else what it mounts', async () => {
      const lines = IN_NAMESPACE.replace(/'$/, "; echo mounted; exec sleep 60'")
      const id = await opponents.keepsAttacking(lines)
      const { text } = await opponents.victimRuns('grep -c " /usr/share " /proc/self/mountinfo; ls ~')
      assert.match(text, /^0\n/)
      assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), / \/usr\/share /)
      await calls.cancel(id)
    })
  })

  it('holds up nobody by a file system of its own', {
    skip: separate ? noNamespaces : 'nothing is covered',
  }, async (t) => {
    // Systems that have FUSE make it anybody's; this one need not.
    const device = join(suite.state(), '..', 'fuse')
    if (spawnSync('mknod', ['--mode=666', device, 'c', '10', '229']).status !== 0)
      return t.skip('no devices can be made')
    const mount = 'mount -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none ~'
    const lines = `unshare -Urm sh -ec 'exec 3<> ${device}; ${mount}; echo mounted; exec cat ~/file'`
    const id = await opponents.keepsAttacking(lines)
    assert.equal((await calls.record(id)).output, 'mounted\n')
    const begun = performance.now()
    assert.equal((await opponents.victimRuns('ls ~')).succeeded, true)
    assert.equal((await opponents.attacks('ls ~')).succeeded, true)
    await calls.cancel(id)
    assert.equal((await calls.ended(id)).status, 'cancelled')
    assert.ok(performance.now() - begun < HELD_UP_MS)
  })

  for (const [when, change] of Object.entries(CHANGES)) {
    it(`fails in all of it after ${when}`, { skip: !separate && 'it does not' }, async () => {
      const victim = await opponents.itsExecution()
      await change(suite, opponents)
      assert.deepEqual(await opponents.itsExecution(), victim)
      for (const attack of AGAIN) {
        await fails(attack).catch((error) => assert.fail(`${attack.name}: ${error.message}`))
      }
    })
  }

  it('leaves the other one undisturbed', { skip: !separate && 'it does not' }, async () => {
    const { id, pid } = await opponents.itsExecution()
    const { status, output = '' } = await calls.record(id)
    assert.equal(status, 'running')
    assert.match(output, /\nheld \d+\n$/)
    assert.ok(isAtWork(pid))
  })
})
