import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { uidsProblem } from '../../src/host/uid-range.js'

const moduleUrl = new URL('../../src/host/uid-range.js', import.meta.url).href
const fix = 'give a range of ids that nobody has'

describe('a range of user ids', { skip: process.platform !== 'linux' }, () => {
  it('may be had by nobody', () => {
    assert.equal(uidsProblem({ first: 2_100_000_000, last: 2_100_065_535 }), undefined)
  })

  it('must not have that of a user, nor of a group', () => {
    assert.deepEqual(uidsProblem({ first: 65_534, last: 65_534 }), {
      message: '65534-65534 takes id 65534, which user nobody has',
      fix,
    })
    const ids = (database: string) =>
      execFileSync('getent', [database], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.split(':'))
    const users = new Set(ids('passwd').map(([, , id]) => id))
    const [name, , id] =
      ids('group').find(([, , gid]) => gid !== undefined && !users.has(gid)) ?? assert.fail('no group')
    const range = { first: Number(id), last: Number(id) }
    assert.deepEqual(uidsProblem(range), { message: `${id}-${id} takes id ${id}, which group ${name} has`, fix })
  })

  it('must not have those of a user namespace', (t) => {
    const [file = ''] = ['/etc/subuid', '/etc/subgid'].filter((path) => existsSync(path))
    if (process.getuid?.() !== 0 || file === '') return t.skip('needs root, and /etc/subuid')
    const other = join(makeTempDir('flux-subuid-'), 'subuid')
    writeFileSync(other, '# ours\n\nbob:3000000:65536\nbroken\nnone:2200000000:0\n')
    const ask = `
const { uidsProblem } = await import(${JSON.stringify(moduleUrl)})
const ranges = [[3065535, 3065540], [2999990, 3000000], [3000005, 3000006], [2999990, 2999999], [3065536, 3065540]]
console.log(JSON.stringify(ranges.map(([first, last]) => uidsProblem({ first, last })?.message ?? 'free')))
`
    const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    const asked = spawnSync(
      'unshare',
      ['-m', 'sh', '-c', script, 'sh', other, file, process.execPath, '--input-type=module', '-e', ask],
      { encoding: 'utf8' },
    )
    if (/unshare|mount/.test(asked.stderr)) return t.skip('cannot mount')
    const bob = `takes ids 3000000-3065535, which bob, by ${file}, has`
    assert.deepEqual(JSON.parse(asked.stdout), [
      `3065535-3065540 ${bob}`,
      `2999990-3000000 ${bob}`,
      `3000005-3000006 ${bob}`,
      'free',
      'free',
    ])
    return undefined
  })
})
