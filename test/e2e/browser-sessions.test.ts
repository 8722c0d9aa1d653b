import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { processesWith } from '../../harness/proc.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { FUNCTIONS_DIR } from '../../src/os/platform.js'
import { reload } from '../support/reload.js'
import { compileSession, noStaticPrograms } from '../support/session-program.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'
import { UploadFront } from '../support/upload-front.js'

const SESSIONS = 6
/** The leader and its tree. */
const PROCESSES = 7

interface Session {
  readonly id: string
  readonly port: number
  /** What it has written. */
  readonly files: readonly string[]
}

/** A control plane's client whose sessions run for hours: uploaded by a form, registered with `cpu: 1`, cancelled. */
describe('sessions of a browser', { skip: noUsers ?? noLauncher ?? noStaticPrograms() }, () => {
  let user: SystemUser
  let agent: TestAgent
  let calls: Calls
  let front: UploadFront
  const sessions: Session[] = []
  /** Those that still run. */
  let running: Session[] = []

  const options = () => ({ config: { run_as: user.name, drain_seconds: 1 } })

  before(async () => {
    user = createUser()
    agent = await startTestAgent(options())
    calls = new Calls(agent.client)
    front = await UploadFront.start(() => calls)
  })
  after(async () => {
    front.close()
    await agent.stop()
    user.remove()
  })

  const archiveOf = (version: string) =>
    buildZip([
      { name: 'session', contents: compileSession(version), mode: PROGRAM },
      { name: 'certs/ca.pem', contents: `of ${version}\n` },
    ])

  async function startSession(): Promise<Session> {
    const id = await calls.start('browser')
    const { output = '' } = await calls.printed(id, 'listening', 30)
    const files = [...output.matchAll(/^wrote (.*)$/gm)].map(([, file]) => onHost(file ?? ''))
    return { id, port: Number(/^listening (\d+)$/m.exec(output)?.[1]), files }
  }

  /** A path that a function has printed, in whose home are its own files. */
  function onHost(path: string): string {
    const home = join(agent.dir, 'state', FUNCTIONS_DIR, 'homes', 'browser')
    return path.startsWith(user.home) ? join(home, path.slice(user.home.length)) : path
  }

  const processesOf = ({ id }: Session) =>
    processesWith('FLUX_EXECUTION_ID', id).filter(({ state }) => !/[ZX]/.test(state))

  async function ask({ port }: Session, question: string): Promise<string> {
    const socket = connect(port, '127.0.0.1')
    socket.end(question)
    return text(socket)
  }

  async function allAnswer(version: string): Promise<void> {
    assert.deepEqual(
      await Promise.all(running.map((session) => ask(session, 'who'))),
      running.map(() => version),
    )
  }

  it('are uploaded as a form and registered with cpu: 1, which is told', async () => {
    const registered = await calls.register({ name: 'browser', handler: 'session', cpu_millicores: 1, memory_mb: 512 })
    assert.equal(registered.success, true, registered.message)
    assert.match(registered.message, /cpu_millicores 1\b/)
    const uploaded = await front.upload('browser', archiveOf('v1'))
    assert.equal(uploaded.ok, true, uploaded.message)
  })

  it('run six at once, each with its tree, its port and its files, and print as they go', async () => {
    sessions.push(...(await Promise.all(Array.from({ length: SESSIONS }, startSession))))
    running = sessions.slice()
    assert.equal(new Set(running.map(({ port }) => port)).size, SESSIONS)
    await allAnswer('v1')
    for (const session of running) {
      await eventually('its tree is there', () => processesOf(session).length === PROCESSES)
      const [profile = '', state = ''] = session.files
      assert.deepEqual([readFileSync(profile, 'utf8'), readFileSync(state, 'utf8')], ['profile', 'state'])
      const { output, status, warnings } = await calls.printed(session.id, 'tick 3')
      assert.equal(status, 'running')
      assert.match(output ?? '', /^certificate of v1\n/)
      assert.match(String(warnings), /cpu_millicores 1\b/)
    }
    assert.equal((await calls.status()).active_tasks, SESSIONS)
  })

  it('are cancelled one by one, with all they have started and nothing left in TMPDIR', async () => {
    const [first] = running.splice(0, 1) as [Session]
    assert.equal((await calls.cancel(first.id)).success, true)
    assert.deepEqual(processesOf(first), [])
    assert.equal((await calls.ended(first.id)).status, 'cancelled')
    await assert.rejects(ask(first, 'who'), { code: 'ECONNREFUSED' })
    const [profile = '', state = ''] = first.files
    assert.match(profile, /\/functions\/tmp\//)
    await eventually('its TMPDIR is gone', () => !existsSync(profile))
    assert.equal(existsSync(state), true)
    await allAnswer('v1')
  })

  it('go on while new code is uploaded, which those that start then run', async () => {
    const uploaded = await front.upload('browser', archiveOf('v2'))
    assert.equal(uploaded.ok, true, uploaded.message)
    const session = await startSession()
    assert.equal(await ask(session, 'who'), 'v2')
    await allAnswer('v1')
    assert.match((await calls.record(session.id)).output ?? '', /^certificate of v2\n/)
    sessions.push(session)
    assert.equal((await calls.cancel(session.id)).success, true)
  })

  it('go on while the configuration is read again', async () => {
    await reload(agent, { max_tasks: 40, drain_seconds: 2 })
    await allAnswer('v1')
    const before = (await calls.record(running[0]?.id ?? '')).output?.length ?? 0
    await eventually('it prints on', async () => {
      return ((await calls.record(running[0]?.id ?? '')).output?.length ?? 0) > before
    })
  })

  it('end by themselves with all they have printed', async () => {
    const [first] = running.splice(0, 1) as [Session]
    assert.equal(await ask(first, 'quit'), 'v1')
    const { status, output } = await calls.ended(first.id)
    assert.equal(status, 'success')
    assert.match(output ?? '', /\nbye\n$/)
    assert.deepEqual(processesOf(first), [])
  })

  it('are ended by a stop once its time is up, and the next start serves the newest code', async () => {
    assert.equal(running.length, SESSIONS - 2)
    assert.equal(await agent.stop(), 0)
    for (const session of sessions) assert.deepEqual(processesOf(session), [])
    agent = await startTestAgent({ ...options(), dir: agent.dir })
    calls = new Calls(agent.client)
    for (const { id } of running) {
      const { status, error } = await calls.record(id)
      assert.deepEqual([status, error], ['failed', 'agent stopped'])
    }
    const session = await startSession()
    assert.equal(await ask(session, 'who'), 'v2')
    assert.equal((await calls.cancel(session.id)).success, true)
    for (const { files } of sessions) for (const file of files) rmSync(file, { force: true })
  })
})
