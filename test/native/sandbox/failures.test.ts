import assert from 'node:assert/strict'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { Folders, failure, noSandbox } from './sandbox-under-test.js'

const { EINVAL, ENOENT, ENOTDIR, EPERM } = constants.errno

const REFUSED: [string, Record<string, string>, string][] = [
  ["an id that is root's", { uid: '0' }, 'uid=0 is not a number between 1 and 4294967294'],
  ['an id that means none', { uid: '4294967295' }, 'uid=4294967295 is not a number between 1 and 4294967294'],
  [
    'a size that is no number',
    { tmp_bytes: '1GiB' },
    'tmp_bytes=1GiB is not a number between 1 and 9223372036854775807',
  ],
  ['no bound', { tmp_bytes: '0' }, 'tmp_bytes=0 is not a number between 1 and 9223372036854775807'],
  ['a name with a colon', { user: 'a:b' }, 'user=a:b cannot stand in /etc/passwd'],
  ['a name that leads elsewhere', { name: '..' }, 'name=.. is not the name of a folder'],
  ['a name of several folders', { name: 'a/b' }, 'name=a/b is not the name of a folder'],
  ['another network', { network: 'some' }, 'network=some is neither host nor none'],
  ['an argument it does not know', { colour: 'blue' }, 'colour=blue is not an argument'],
  ...['apps', '/apps/', '//apps', '/a/../apps', '/apps/.', ''].map((apps): [string, Record<string, string>, string] => [
    `"${apps}" as a folder`,
    { apps },
    `apps=${apps} is not the absolute path of a folder, without . and .. and empty parts`,
  ]),
]

describe('the sandbox program', { skip: noSandbox }, () => {
  for (const [what, args, sentence] of REFUSED) {
    it(`refuses ${what}`, async () => {
      assert.deepEqual(await failure(new Folders().arguments(args)), [`${sentence}\n`, EINVAL])
    })
  }

  it('names an argument that is missing', async () => {
    const all = new Folders().arguments()
    for (const one of all) {
      const key = one.replace(/=.*/, '=')
      assert.deepEqual(await failure(all.filter((other) => other !== one)), [`${key} is missing\n`, EINVAL])
    }
  })

  it('names the home that is not there', async () => {
    const folders = new Folders()
    rmSync(folders.home, { recursive: true })
    assert.deepEqual(await failure(folders.arguments()), [
      `cannot find the function's home ${folders.home}: No such file or directory\n`,
      ENOENT,
    ])
  })

  it('names the place that is not there', async () => {
    const home_at = '/etc/nobody/home'
    const sentence = `cannot open /etc/nobody: No such file or directory\n`
    assert.deepEqual(await failure(new Folders().arguments({ home_at })), [sentence, ENOENT])
  })

  it('does not take a file or a link for the home', async () => {
    const folders = new Folders()
    rmSync(folders.home, { recursive: true })
    const sentence = `cannot open ${folders.home}: Not a directory\n`
    symlinkSync('/etc', folders.home)
    assert.deepEqual(await failure(folders.arguments()), [sentence, ENOTDIR])
    rmSync(folders.home)
    writeFileSync(folders.home, '')
    assert.deepEqual(await failure(folders.arguments()), [sentence, ENOTDIR])
  })

  it('says what it may not do', async () => {
    const folders = new Folders()
    const sentence = `cannot make a mount of ${folders.home}: Operation not permitted\n`
    assert.deepEqual(await failure(folders.arguments(), ['setpriv', '--bounding-set=-sys_admin', '--']), [
      sentence,
      EPERM,
    ])
  })

  it('ends without a word where nobody waits for it', async () => {
    assert.deepEqual(await failure(new Folders().arguments()), ['ready\n', 0])
  })
})

describe('the check', { skip: noSandbox }, () => {
  for (const network of ['host', 'none']) {
    it(`finds that all is there, with the network ${network}`, async () => {
      assert.deepEqual(await failure(['check', `network=${network}`]), ['ready\n', 0])
    })
  }

  it('says that it runs in a chroot', async () => {
    const folder = makeTempDir('flux-sandbox-')
    const inside = ['sh', '-c', `mount --rbind / ${folder} && exec chroot ${folder} "$@"`, 'sh']
    const [said] = await failure(['check', 'network=host'], ['unshare', '--mount', ...inside])
    assert.equal(said, 'the agent runs in a chroot, out of which a sandbox would lead\n')
  })

  it('says what is missing', async () => {
    const [said, code] = await failure(['check', 'network=host'], ['setpriv', '--bounding-set=-sys_admin', '--'])
    assert.equal(said, 'cannot join a mount namespace: Operation not permitted\n')
    assert.equal(code, EPERM)
  })
})
