import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { onExit } from '../../harness/on-exit.js'
import { isRunning } from '../../harness/processes.js'
import { launcherOfVersion, noCompiler } from '../native/launcher/builds.js'
import { Flag, parseEvents, type Start, startFrame } from '../native/launcher/frames.js'
import { LAUNCHER } from '../os/linux/starters.js'

/** Starts what a launcher is to keep, and leaves the launcher alone; answers the pid. */
async function leave(program: string, socket: string, start: Start): Promise<number> {
  const launcher = spawn(program, ['-', '-', socket, '60000'], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  onExit(() => launcher.kill('SIGKILL'))
  launcher.stdin.write(startFrame(1, start))
  let stream = Buffer.alloc(0)
  launcher.stdout.on('data', (chunk) => {
    stream = Buffer.concat([stream, chunk])
  })
  const started = await eventually('it runs', () => {
    const event = parseEvents(stream).events.find(({ type }) => type === 'started')
    return event?.type === 'started' ? event : undefined
  })
  launcher.stdin.destroy()
  launcher.stdout.destroy()
  launcher.unref()
  return started.pid
}

const sleeper: Start = { file: '/bin/sleep', argv: ['sleep', '600'], flags: Flag.kept }

describe('a launcher that an agent finds and cannot take over', { skip: noLauncher ?? noCompiler }, () => {
  const cases = [
    {
      what: 'speaks another version of the protocol',
      program: () => launcherOfVersion(99),
      says: /it speaks version 99/,
    },
    { what: 'has executions of which another version took notes', program: () => LAUNCHER, says: /another version/ },
  ]
  for (const { what, program, says } of cases) {
    it(`because it ${what} is ended, and the agent says so and serves`, async () => {
      const dir = makeTempDir('flux-foreign-')
      const socket = join(dir, 'state', 'run', 'launcher-00.sock')
      mkdirSync(dirname(socket), { recursive: true, mode: 0o700 })
      const pid = await leave(program(), socket, sleeper)
      assert.equal(existsSync(socket), true)
      const agent = await startTestAgent({ dir })
      assert.equal(isRunning(pid), false)
      assert.equal(existsSync(socket), false)
      assert.match(agent.logs(), says)
      await agent.stop()
    })
  }
})
