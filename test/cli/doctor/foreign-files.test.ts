import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { isRunning } from '../../../harness/processes.js'
import { platform } from '../../../src/os/index.js'
import { type RunningCli, runCli, startCli } from '../../support/cli.js'

const notRoot = process.getuid?.() !== 0 && 'it is root that must not trust others'
/** Of nobody in particular. */
const SOMEBODY = 54_321

/** A folder of somebody's with what an agent's would have, of which `foreign` is theirs too; its lock names a victim. */
function folder(t: TestContext, foreign: 'config' | 'state' | 'lock' | 'nothing') {
  const victim = spawn('sleep', ['600'])
  onExit(() => victim.kill('SIGKILL'))
  t.after(() => victim.kill('SIGKILL'))
  const pid = victim.pid as number
  const dir = makeTempDir('flux-foreign-')
  const [file, state] = [join(dir, 'agent.yaml'), join(dir, 'state')]
  const lock = join(state, 'agent.lock')
  const config = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self', state_dir: state }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  mkdirSync(state, { mode: 0o700 })
  writeFileSync(lock, `${pid} ${platform.processStartTime(pid)}\n`, { mode: 0o600 })
  chownSync(dir, SOMEBODY, SOMEBODY)
  const theirs = { config: [file], state: [state, lock], lock: [lock], nothing: [] }[foreign]
  for (const path of theirs) chownSync(path, SOMEBODY, SOMEBODY)
  return { dir, file, state, lock, pid }
}

describe('root in a folder of somebody else', { skip: notRoot }, () => {
  it('stops no process that another user names', async (t) => {
    for (const foreign of ['config', 'state', 'lock'] as const) {
      const { dir, file, lock, pid } = folder(t, foreign)
      const { code, stderr } = await runCli(['stop'], { cwd: dir })
      assert.equal(code, 1)
      const path = foreign === 'config' ? file : lock
      assert.match(
        stderr,
        new RegExp(`^flux-agent: ${path}: belongs to user ${SOMEBODY}, .*; chown root ${path}, .*\n$`),
      )
      await sleep(100)
      assert.equal(isRunning(pid), true)
    }
  })

  it('starts no agent on another user’s configuration or state', async (t) => {
    const theirs = folder(t, 'config')
    const config = await runCli(['start', '--config', theirs.file])
    assert.equal(config.code, 1)
    assert.match(config.stderr, new RegExp(`${theirs.file}: belongs to user ${SOMEBODY}`))
    const { file, state } = folder(t, 'state')
    const refused = await runCli(['start', '--config', file])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, new RegExp(`cannot start: state_dir: ${state}: belongs to user ${SOMEBODY}`))
  })

  it('takes no configuration that others may write, nor one behind a link of theirs', async (t) => {
    const { file, dir } = folder(t, 'nothing')
    chmodSync(file, 0o666)
    const { code, stderr } = await runCli(['check-config', '--config', file])
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`${file}: everybody may write it, .*; chmod go-w ${file}`))
    const target = join(dir, 'theirs.yaml')
    writeFileSync(target, 'agent_id: a')
    chownSync(target, SOMEBODY, SOMEBODY)
    symlinkSync(target, join(dir, 'link.yaml'))
    const behind = await runCli(['check-config', '--config', join(dir, 'link.yaml')])
    assert.match(behind.stderr, /belongs to user/)
  })

  it('starts an agent on its own files there, as Flux writes them', async (t) => {
    const { file, lock, pid } = folder(t, 'nothing')
    writeFileSync(lock, `${pid} 1\n`)
    const { result } = await serve(file)
    const { code } = await runCli(['stop', '--config', file])
    assert.equal(code, 0)
    assert.equal((await result).code, 0)
    assert.equal(isRunning(pid), true)
  })
})

describe('functions as root', { skip: notRoot }, () => {
  async function attempt(keys: object) {
    const dir = makeTempDir('flux-root-')
    const file = join(dir, 'agent.yaml')
    const config = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', state_dir: join(dir, 'state') }
    writeFileSync(file, JSON.stringify({ ...config, apps_dir: join(dir, 'apps'), ...keys }))
    return file
  }

  it('are refused, and told by doctor', async () => {
    const file = await attempt({ run_as: 'root' })
    const { code, stderr } = await runCli(['start', '--config', file])
    assert.equal(code, 1)
    assert.match(stderr, /run_as: user root is root: .* or allow_root: true as well/)
    assert.match((await runCli(['doctor', '--config', file])).stdout.toString(), /FAIL {2}user .*user root is root/)
  })

  it('are told to be able to command an agent without TLS, where they are not root', async () => {
    const file = await attempt({ run_as: 'daemon' })
    const warning = /without TLS functions, which run as daemon, can command this agent on 127\.0\.0\.1 port 0/
    assert.match((await runCli(['doctor', '--config', file])).stdout.toString(), warning)
    const { process: agent, result } = await serve(file)
    agent.kill('SIGTERM')
    assert.match((await result).stderr, warning)
  })

  it('are let run where that is written twice', async () => {
    const file = await attempt({ run_as: 'root', allow_root: true })
    const { process: agent, result } = await serve(file)
    agent.kill('SIGTERM')
    assert.equal((await result).code, 0)
  })
})

/** Starts an agent, and waits until it serves. */
async function serve(configFile: string): Promise<RunningCli> {
  const cli = startCli(['start', '--config', configFile])
  let log = ''
  cli.process.stderr?.on('data', (data) => {
    log += data
  })
  await eventually('it serves', () => log.includes('"serving"'), 30)
  return cli
}
