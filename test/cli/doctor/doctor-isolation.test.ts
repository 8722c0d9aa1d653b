import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../../harness/agent.js'
import type { Finding } from '../../../src/cli/doctor/finding.js'
import { platform } from '../../../src/os/index.js'
import { createUser, noUsers, type SystemUser } from '../../support/system-user.js'
import { examine } from './examine.js'

const ROOT = resolve(fileURLToPath(new URL('../../../..', import.meta.url)))
const { problem, unenforced, cgroups } = platform.inspectIsolation()
const noCgroups = cgroups ? false : 'there are no cgroups to use'
const keepsAll = Object.keys(unenforced).length === 0 && 'every limit is kept here'

function levels(findings: readonly Finding[], subject: string): string[] {
  return findings.filter((finding) => finding.subject === subject).map(({ level }) => level)
}

describe('doctor tells of isolation', { skip: process.platform === 'win32' }, () => {
  it('that the launcher works', { skip: problem ?? false }, async () => {
    assert.equal((await examine()).find('launcher')?.level, 'ok')
  })

  it('where cgroups are made', { skip: noCgroups }, async () => {
    const { find } = await examine()
    assert.deepEqual([find('cgroups')?.level, find('cgroups')?.message.includes(String(cgroups))], ['ok', true])
  })

  it('every limit that is not kept, and why: a warning, or a failure where isolation is required', {
    skip: keepsAll,
  }, async () => {
    const lenient = await examine()
    assert.equal(lenient.code, 0)
    const missed = lenient.findings.filter(({ subject, level }) => subject === 'limits' && level !== 'ok')
    const text = missed.map(({ message }) => message).join('\n')
    const reasons = {
      memory_mb: unenforced.memory,
      cpu_millicores: unenforced.cpu,
      max_processes: unenforced.processes,
    }
    for (const [limit, reason] of Object.entries(reasons)) {
      assert.equal(text.includes(limit) && text.includes(reason ?? ''), reason !== undefined, limit)
    }
    assert.equal(new Set(missed.map(({ level }) => level)).has('fail'), false)
    for (const { fix } of missed) assert.ok(fix)

    const strict = await examine({ isolation: 'required' })
    assert.equal(strict.code, 1)
    assert.ok(levels(strict.findings, 'limits').includes('fail'))
    assert.equal(levels(strict.findings, 'limits').includes('warn'), false)
  })

  it('nothing of a limit that is switched off', async () => {
    const { findings } = await examine({ max_processes: 0 })
    assert.equal(
      findings.some(({ subject, message }) => subject === 'limits' && /max_processes/.test(message)),
      false,
    )
  })

  it('that the launcher is not built', { skip: process.platform !== 'linux' }, () => {
    const copy = makeTempDir('flux-agent-copy-')
    mkdirSync(join(copy, 'dist'))
    cpSync(join(ROOT, 'dist', 'agent'), join(copy, 'dist', 'agent'), { recursive: true })
    for (const name of ['node_modules', 'proto', 'package.json']) symlinkSync(join(ROOT, name), join(copy, name))
    const cli = join(copy, 'dist', 'agent', 'cli', 'index.js')
    for (const [isolation, level] of Object.entries({ best_effort: 'warn', required: 'fail' })) {
      const config = { agent_id: 'a', host: '127.0.0.1', redis_addr: 'embedded', run_as: 'self', port: 0 }
      const file = join(copy, 'agent.yaml')
      writeFileSync(file, JSON.stringify({ ...config, state_dir: join(copy, 'state'), isolation }))
      const { stdout } = spawnSync(process.execPath, [cli, 'doctor', '--json', '--config', file])
      const findings: Finding[] = JSON.parse(stdout.toString())
      assert.deepEqual(
        findings.find(({ subject }) => subject === 'launcher'),
        {
          level,
          subject: 'launcher',
          message: 'the launcher is not built: there was no C compiler when this program was built',
          fix: 'install a C compiler and run `npm run build`',
        },
      )
    }
  })
})

describe('doctor tells of what functions can reach', { skip: noUsers }, () => {
  let user: SystemUser
  before(() => {
    user = createUser()
  })
  after(() => user.remove())

  const openFolder = () => {
    const dir = makeTempDir('flux-agent-doctor-')
    chmodSync(dir, 0o755)
    return dir
  }

  it('a configuration file and a state folder that the runner can read', async () => {
    const dir = openFolder()
    const state = join(dir, 'state')
    mkdirSync(state, { mode: 0o755 })
    const { code, find, findings } = await examine({ run_as: user.name }, dir)
    assert.equal(code, 0)
    const file = join(dir, 'agent.yaml')
    const config = find('config file')
    assert.deepEqual(config, {
      level: 'warn',
      subject: 'config file',
      message: `functions can read ${file}`,
      fix: `chmod 600 ${file}`,
    })
    assert.ok(findings.some(({ level, fix }) => level === 'warn' && fix === `chmod 700 ${state}`))
  })

  it('nothing of a file that only the agent can read', async () => {
    const dir = openFolder()
    writeFileSync(join(dir, 'agent.yaml'), '', { mode: 0o600 })
    assert.equal((await examine({ run_as: user.name }, dir)).find('config file'), undefined)
  })

  it('an apps folder that functions may have made', async () => {
    const apps = join(user.home, 'apps')
    mkdirSync(apps)
    chownSync(apps, user.uid, user.gid)
    const { code, find } = await examine({ run_as: user.name })
    assert.equal(code, 1)
    assert.match(find('apps')?.message ?? '', /apps belongs to user \d+, not to the agent's/)
    assert.match(find('apps')?.fix ?? '', /^move it away/)
  })

  it('an apps folder that functions may replace', async () => {
    const { find, findings } = await examine({ run_as: user.name, apps_dir: join(user.home, 'code', 'apps') })
    assert.equal(find('apps')?.level, 'ok')
    assert.ok(
      findings.some(
        ({ subject, level, message }) => subject === 'apps' && level === 'warn' && /may replace/.test(message),
      ),
    )
  })
})
