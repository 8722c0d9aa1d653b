import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { after, before, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { launchersOf } from '../../../harness/launchers.js'
import { describeBoth, describeSeparate } from '../../support/describe-functions.js'
import { OPEN_FOLDERS, Opponents } from '../../support/opponents.js'

const MIB = 1024 * 1024
const TMP_BYTES = 16 * MIB
const DISK_BYTES = 32 * MIB
const FULL = 'flux-test-full'

/** Where a user has only so many, how one function takes them all. `within`: a limit that both are under. */
const USED_UP: readonly { readonly what: string; readonly name: string; readonly within?: string }[] = [
  { what: 'inotify', name: 'inotify instances' },
  { what: 'process', name: 'processes', within: 'prlimit --nproc=100:100' },
  { what: 'key', name: 'keys' },
  { what: 'signal', name: 'queued signals', within: 'prlimit --sigpending=1000:1000' },
  { what: 'pipe', name: 'memory of pipes', within: 'prlimit --nofile=1000:1000' },
  { what: 'queue', name: 'memory of POSIX queues' },
]

describeBoth('a function that uses up what there is', { functions: { tmp_bytes: TMP_BYTES } }, (suite) => {
  const { calls, separate } = suite
  const opponents = new Opponents(suite)
  before(() => opponents.deploy())
  after(() => opponents.attacks('attack clear-keys @u'))

  for (const { what, name, within = '' } of USED_UP) {
    it(`leaves ${name} to others`, async () => {
      const attack = await opponents.keepsAttacking(`exec ${within} attack use-up ${what} 1000000`)
      const { output } = await calls.record(attack)
      assert.match(output ?? '', /^made [1-9]\d*: (?!all)/)
      const { succeeded, text } = await opponents.victimRuns(`exec ${within} attack use-up ${what} 1`)
      assert.equal(succeeded, separate, text)
      await calls.cancel(attack)
    })
  }

  for (const folder of OPEN_FOLDERS) {
    it(`fills ${folder} for nobody but itself`, async () => {
      const lines = `head -c ${TMP_BYTES + MIB} /dev/zero > ${folder}/${FULL}; echo ended; exec sleep 60`
      const attack = await opponents.keepsAttacking(lines)
      const { output = '' } = await calls.printed(attack, 'ended')
      assert.equal(/No space left on device/.test(output), separate, output)
      const { succeeded, text } = await opponents.victimRuns(`head -c ${MIB} /dev/zero > ${folder}/${FULL}-2`)
      assert.ok(succeeded, text)
      await calls.cancel(attack)
      await calls.ended(attack)
      assert.equal((await opponents.attacks(`[ ! -e ${folder}/${FULL} ]`)).succeeded, separate)
      await opponents.victimRuns(`rm -f ${folder}/${FULL} ${folder}/${FULL}-2`)
    })
  }
})

// Without a control, which would fill folders of this machine.
describeSeparate(
  'what a function may keep',
  { functions: { tmp_bytes: TMP_BYTES, disk_bytes: DISK_BYTES } },
  (suite) => {
    const { agent, calls } = suite
    const opponents = new Opponents(suite)
    before(() => opponents.deploy())

    for (const [what, folder] of Object.entries({
      'temporary folders': '/tmp',
      home: '~',
      'own temporary folder': '"$TMPDIR"',
    })) {
      it(`in its ${what} is bounded, in bytes and in files`, async () => {
        const fill = `cd ${folder}; head -c ${TMP_BYTES + DISK_BYTES} /dev/zero > ${FULL}`
        assert.match((await opponents.attacks(fill)).text, /No space left on device|Disk quota exceeded/)
        const others = await opponents.victimRuns(`cd ${folder}; head -c ${MIB} /dev/zero > some && rm some`)
        assert.ok(others.succeeded, others.text)
        const own = await opponents.attacks(`cd ${folder}; rm -f ${FULL}; head -c ${MIB} /dev/zero > some && rm some`)
        assert.ok(own.succeeded, own.text)
        const many = 'for i in $(seq 200); do mkdir many/$i; (cd many/$i; seq 100 | xargs touch) || exit; done'
        const { text } = await opponents.attacks(`cd ${folder}; mkdir many; ${many}`)
        assert.match(text, /No space left on device|Disk quota exceeded/)
        assert.equal((await opponents.attacks(`cd ${folder}; rm -rf many`)).succeeded, true)
      })
    }

    it('in its own temporary folder is all its own again at the next execution', async () => {
      const most = (0.6 * DISK_BYTES).toFixed(0)
      const lines = `cd "$TMPDIR" && fallocate -l ${most} some && seq 2000 | xargs touch`
      for (let round = 0; round < 20; round++) {
        const { succeeded, text } = await opponents.attacks(lines)
        assert.ok(succeeded, text)
      }
    })

    it('as System V shared memory is bounded', async () => {
      const { text } = await opponents.attacks(`ipcmk -M ${TMP_BYTES / 2} && ipcmk -M ${TMP_BYTES}`)
      assert.match(text, /^Shared memory id: \d+\n.*No space left on device/)
    })

    it('is gone with its last execution', async () => {
      const other = await opponents.keepsAttacking('echo; exec sleep 60')
      const lines = `
      ipcmk -M ${TMP_BYTES / 4} > /dev/null && ipcmk -S 1 > /dev/null && ipcmk -Q > /dev/null || exit
      for folder in ${OPEN_FOLDERS.join(' ')}; do head -c ${MIB} /dev/zero > $folder/left || exit; done
      readlink /proc/self/ns/mnt`
      const { succeeded, text } = await opponents.attacks(lines)
      assert.ok(succeeded, text)
      const counts = `ls ${OPEN_FOLDERS.map((folder) => `${folder}/left`).join(' ')} | wc -l; cat /proc/sysvipc/* | grep -vc key; readlink /proc/self/ns/mnt`
      assert.equal((await opponents.attacks(counts)).text, `4\n3\n${text}`)
      await calls.cancel(other)
      const held = () => heldBy([agent.pid, ...launchersOf(agent.pid)])
      await eventually('nobody holds what it was in', () => !held().includes(text.trim()))
      assert.match((await opponents.attacks(counts)).text, /^0\n0\nmnt:/m)
    })
  },
)

/** What their descriptors refer to. */
function heldBy(pids: readonly number[]): string[] {
  return pids.flatMap((pid) => readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`)))
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
