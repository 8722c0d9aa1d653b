import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { makeTempDir } from '../../../../harness/agent.js'
import { eventually } from '../../../../harness/eventually.js'
import { launchersOf } from '../../../../harness/launchers.js'
import { processesWith } from '../../../../harness/proc.js'
import { isRunning } from '../../../../harness/processes.js'
import { installation } from '../../../../src/installation.js'
import { platform } from '../../../../src/os/index.js'
import { FUNCTIONS_DIR, type ProcessStarter, type Sandboxes, type StarterSetup } from '../../../../src/os/platform.js'
import { whileUsersStay } from '../../../support/system-user.js'
import { request, run, script, start } from '../processes.js'
import { STARTERS } from '../starters.js'

const ESCAPES = [
  ['a child', 'sleep 60 & echo $!; wait'],
  ['a child in a session of its own', 'setsid sleep 60 & echo $!; sleep 60'],
  ['an orphan in a session of its own', "sh -c 'setsid sleep 60 & echo $!'; sleep 60"],
  ['a grandchild whose parent has left the group', "setsid sh -c 'sleep 60 & echo $!; wait' & sleep 60"],
] as const
const MANY = process.env['CI'] ? 2_000 : 500
const noSandboxes = process.getuid?.() !== 0 ? 'needs root' : (platform.inspectIsolation().notSeparate ?? false)

/** Those of an agent with a function `fun`, in whose home is a file `kept`. */
function functionFolders() {
  const dir = makeTempDir('flux-launcher-')
  const folder = (...path: string[]) => {
    mkdirSync(join(dir, ...path), { recursive: true })
    return join(dir, ...path)
  }
  const uid = 2_060_000_000 + process.pid
  const home = folder('state', FUNCTIONS_DIR, 'homes', 'fun')
  writeFileSync(join(home, 'kept'), '')
  chownSync(home, uid, uid)
  const sandboxes: Sandboxes = {
    runAs: { name: 'runner', uid: 1, gid: 1, home: folder('home'), groups: [] },
    appsDir: folder('apps'),
    stateDir: folder('state'),
    tmpBytes: 2 ** 20,
    diskBytes: 0,
    network: 'host',
    program: installation.sandbox,
    registry: folder('registry'),
  }
  return { dir, sandboxes, uid }
}

for (const { name, skip, setup } of STARTERS.filter(({ kind }) => kind === 'launcher')) {
  describe(`${name}`, { skip }, () => {
    let starter: ProcessStarter

    beforeEach(() => {
      starter = platform.createStarter(setup(makeTempDir('flux-launcher-')))
    })
    afterEach(() => starter.close())

    const launcherPid = () => {
      const launchers = launchersOf(process.pid)
      assert.equal(launchers.length, 1)
      return launchers[0] as number
    }

    for (const [what, lines] of ESCAPES) {
      it(`kills ${what} with its execution, before it tells the end`, async () => {
        const watched = await start(starter, script(lines))
        const pid = Number(await eventually('its pid', () => watched.output().trim()))
        watched.process.kill('cancelled')
        const { end } = await watched.ended
        assert.equal(end.kind === 'killed' && end.signal, 'SIGKILL')
        assert.equal(isRunning(pid), false)
      })

      it(`that dies takes ${what} along, says so, and is replaced`, async () => {
        const watched = await start(starter, script(lines))
        const pid = Number(await eventually('its pid', () => watched.output().trim()))
        process.kill(launcherPid(), 'SIGKILL')
        const { end } = await watched.ended
        assert.ok(end.kind === 'lost')
        assert.match(end.error, /launcher has died \(SIGKILL\)/)
        assert.equal(isRunning(watched.pid), false)
        await eventually('the escaped process is gone', () => !isRunning(pid))
        const next = await run(starter, script('echo next'))
        assert.equal(next.output.toString(), 'next\n')
      })
    }

    it('that dies fails the starts it was asked for', async () => {
      const running = await start(starter, script('sleep 60'))
      process.kill(launcherPid(), 'SIGSTOP')
      const starting = Array.from({ length: 10 }, () => run(starter, script('sleep 60')))
      process.kill(launcherPid(), 'SIGKILL')
      for (const { end } of await Promise.all(starting))
        assert.equal(end.kind === 'not started' && end.code, 'LAUNCHER_DIED')
      assert.equal((await running.ended).end.kind, 'lost')
    })

    it('that dies while it starts many tells no end before all that it started is dead', async () => {
      const env = { STARTED: randomUUID() }
      const asked = Array.from({ length: 200 }, () => request(starter, script('sleep 60', { env })))
      await eventually('some have started', () => processesWith('STARTED', env.STARTED).length > 20)
      process.kill(launcherPid(), 'SIGKILL')
      await Promise.race(asked.map(({ ended }) => ended))
      assert.deepEqual(processesWith('STARTED', env.STARTED), [])
      await Promise.all(asked.map(({ ended }) => ended))
    })

    it('starts a function in its sandbox, or says that there is none', { skip: noSandboxes }, async (t) => {
      const { dir, sandboxes, uid } = functionFolders()
      const separate = platform.createStarter({ ...setup(dir), sandboxes } as StarterSetup)
      t.after(() => separate.close())
      const runAs = { ...sandboxes.runAs, uid, gid: uid }
      const request = { ...script('id -un; id -u; pwd -P; ls -A ~runner'), runAs, sandbox: 'fun' }
      const { output } = await whileUsersStay(() => run(separate, request))
      assert.equal(output.toString(), `runner\n${uid}\n/\nkept\n`)
      const { end } = await run(separate, { ...request, sandbox: 'none' })
      assert.ok(end.kind === 'not started')
      assert.match(end.error, /^the sandbox of function none cannot be made: the agent's log says why/)
    })

    it('runs very many at once', async () => {
      const all = await Promise.all(
        Array.from({ length: MANY }, (_, i) => start(starter, script(`echo ${i}; exec sleep 60`))),
      )
      await eventually('all have told their number', () => all.every(({ output }) => output() !== ''), 30)
      for (const { process } of all) process.kill('cancelled')
      const ends = await Promise.all(all.map(({ ended }) => ended))
      ends.forEach(({ output, end }, i) => {
        assert.equal(output.toString(), `${i}\n`)
        assert.equal(end.kind === 'killed' && end.signal, 'SIGKILL')
      })
    })

    it('passes output on byte for byte, beyond its credit many times', async () => {
      const { output } = await run(starter, script('i=0; while [ $i -lt 200000 ]; do echo "line $i"; i=$((i+1)); done'))
      const expected = Array.from({ length: 200_000 }, (_, i) => `line ${i}\n`).join('')
      assert.equal(output.equals(Buffer.from(expected)), true)
    })
  })
}
