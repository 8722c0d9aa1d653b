import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { runCli } from '../support/cli.js'

const notRoot = (process.platform !== 'linux' || process.getuid?.() !== 0) && 'only root can mount'

function disk(t: TestContext, size: string): string {
  const dir = join(makeTempDir('flux-disk-'), 'disk')
  mkdirSync(dir)
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir]).status, 0)
  t.after(() => spawnSync('umount', ['-l', dir]))
  chmodSync(dir, 0o700)
  return dir
}

function configure(stateDir: string): string {
  const file = join(makeTempDir('flux-refused-'), 'agent.yaml')
  const config = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self' }
  writeFileSync(file, JSON.stringify({ ...config, state_dir: stateDir }))
  return file
}

/** What a start that fails says; every line of it is whole. */
function lastOf(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return lines.map((line) => JSON.parse(line).msg as string).at(-1) ?? ''
}

describe('a start that the system refuses', { skip: notRoot }, () => {
  it('on a full disk names the file, and what to do', async (t) => {
    const dir = disk(t, '160k')
    const file = configure(join(dir, 'state'))
    for (const kilobytes of [160, 140, 120, 80, 40, 0]) {
      rmSync(join(dir, 'ballast'), { force: true })
      try {
        writeFileSync(join(dir, 'ballast'), Buffer.alloc(kilobytes * 1024))
      } catch {
        // Full.
      }
      const { code, stderr } = await runCli(['start', '--config', file])
      assert.equal(code, 1)
      const words =
        /^cannot start: \/\S*\/disk\/\S+: cannot be (written|made): its disk is full \(ENOSPC\); free space there$/
      assert.match(lastOf(stderr), words)
    }
    const doctor = await runCli(['doctor', '--config', file])
    assert.match(doctor.stdout.toString(), /FAIL {2}state .*its disk is full/)
  })

  it('on a disk that is read-only says so', async (t) => {
    const dir = disk(t, '4m')
    mkdirSync(join(dir, 'state'), { mode: 0o700 })
    assert.equal(spawnSync('mount', ['-o', 'remount,ro', dir]).status, 0)
    const { code, stderr } = await runCli(['start', '--config', configure(join(dir, 'state'))])
    assert.equal(code, 1)
    assert.match(lastOf(stderr), /^cannot start: \S*\/state\/agent\.lock: .* read-only \(EROFS\); mount that/)
  })

  it('where a file lies in the way of a folder says which', async () => {
    const dir = makeTempDir('flux-refused-')
    writeFileSync(join(dir, 'file'), '')
    const { code, stderr } = await runCli(['start', '--config', configure(join(dir, 'file', 'state'))])
    assert.equal(code, 1)
    assert.match(
      lastOf(stderr),
      /^cannot start: \S*\/file\/state: cannot be made: a part of its path is no folder \(ENOTDIR\)/,
    )
  })
})
