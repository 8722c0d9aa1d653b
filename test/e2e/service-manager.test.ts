import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent, type TestAgentOptions } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { freePort } from '../../harness/free-port.js'
import { childrenOf } from '../../harness/proc.js'
import { isRunning } from '../../harness/processes.js'
import { answer } from '../../src/cli/connection.js'
import type { DrainResponse__Output } from '../../src/generated/flux/operations/DrainResponse.js'
import type { ResumeResponse__Output } from '../../src/generated/flux/operations/ResumeResponse.js'
import { runCli } from '../support/cli.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { noServiceManager, ServiceManagerSocket } from '../support/service-manager.js'

const BEAT_MS = 100

interface Service {
  readonly agent: TestAgent
  readonly calls: Calls
  readonly manager: ServiceManagerSocket
}

async function startService(t: TestContext, options: TestAgentOptions = {}, address?: string): Promise<Service> {
  const manager = await ServiceManagerSocket.open(address)
  const env = { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: String(3 * BEAT_MS * 1000), ...options.env }
  const agent = await startTestAgent({ ...options, env })
  t.after(async () => {
    await agent.kill()
    manager.close()
  })
  return { agent, calls: new Calls(agent.client), manager }
}

const notifierOf = (agent: TestAgent) => childrenOf(agent.pid).find(({ command }) => command === 'notifier')?.pid ?? 0

describe('a service manager', { skip: noServiceManager }, () => {
  it('is told, by the agent itself, that it serves once it does', async (t) => {
    const { agent, manager } = await startService(t)
    const ready = await manager.told(/^READY=1$/)
    assert.deepEqual(ready.lines, [
      'READY=1',
      `STATUS=serving on 127.0.0.1:${agent.port}: 0 executions running, 0 waiting`,
    ])
    await manager.told(/^WATCHDOG=1$/)
    const [first] = manager.received
    assert.ok(first?.lines.includes('STATUS=starting'), first?.lines.join())
    for (const { pid, uid, lines } of manager.received) {
      assert.deepEqual([pid, uid], [agent.pid, process.getuid?.()], lines.join())
    }
  })

  it('may listen in the abstract namespace', async (t) => {
    const { manager } = await startService(t, {}, `@flux-agent-test-${process.pid}`)
    await manager.told(/^READY=1$/)
  })

  it('gets no sign of life from an agent whose main thread stands still', async (t) => {
    const { agent, manager } = await startService(t)
    const beats = () => manager.with(/^WATCHDOG=1$/).length
    await eventually('it gives signs of life', () => beats() >= 3)
    process.kill(agent.pid, 'SIGSTOP')
    await eventually('it stands still', () => readFileSync(`/proc/${agent.pid}/stat`, 'latin1').includes(') T '))
    // The notifier sends what it has; what is missing after a whole interval of the watchdog is what systemd acts on.
    let last = beats()
    let since = performance.now()
    await eventually('no sign of life for long', () => {
      if (beats() !== last) since = performance.now()
      last = beats()
      return performance.now() - since > 10 * BEAT_MS
    })
    process.kill(agent.pid, 'SIGCONT')
    await eventually('it gives signs of life again', () => beats() >= last + 3)
  })

  it('is told what runs and waits', async (t) => {
    const { calls, manager } = await startService(t)
    const gate = new Gate()
    await calls.script('gate', awaitGate(1), {
      max_concurrency: 1,
      max_concurrency_behavior: 'wait',
    })
    const ids = await Promise.all([calls.start('gate', [gate.path]), calls.start('gate', [gate.path])])
    await manager.told(/^STATUS=serving on .*: 1 executions running, 1 waiting$/)
    gate.open()
    for (const id of ids) await calls.ended(id)
    await eventually('idle again is told', () => manager.with(/: 0 executions running, 0 waiting$/).length >= 2)
    const told = manager.with(/^STATUS=serving/)
    for (const [i, { at }] of told.entries()) assert.ok(at - (told[i - 2]?.at ?? 0) > 500, 'about four times a second')
  })

  it('is told of a drain, and of its end', async (t) => {
    const { agent, manager } = await startService(t)
    await manager.told(/^STATUS=serving/)
    await answer<DrainResponse__Output>((call, done) => agent.operations.drain({}, call, done))
    await manager.told(/^STATUS=draining since 20\S+Z, on 127\.0\.0\.1:\d+: 0 executions running, 0 waiting$/)
    await answer<ResumeResponse__Output>((call, done) => agent.operations.resume({}, call, done))
    await eventually('its end is told', () => manager.with(/^STATUS=serving/).length === 2)
    assert.equal(manager.with(/^READY=1$/).length, 1)
  })

  it('lets a stop last for as long as the agent says', async (t) => {
    const { agent, calls, manager } = await startService(t, { config: { drain_seconds: 600 } })
    const gate = new Gate()
    await calls.script('gate', `echo ready; ${awaitGate(1)}`)
    await calls.printed(await calls.start('gate', [gate.path]), 'ready')
    process.kill(agent.pid, 'SIGTERM')
    const stopping = await manager.told(/^STOPPING=1$/)
    assert.ok(stopping.lines.includes('EXTEND_TIMEOUT_USEC=30000000'), stopping.lines.join())
    const [, until = ''] = /^STATUS=stopping: 1 executions running, until (.*) at the latest$/.exec(
      stopping.lines.at(-1) ?? '',
    ) ?? ['', stopping.lines.join()]
    const left = (Date.parse(until) - Date.now()) / 1000
    assert.ok(left > 570 && left <= 600, until)
    const later = () => manager.received.filter(({ at, lines }) => at > stopping.at && lines[0] === 'WATCHDOG=1')
    await eventually('it lives and asks for more time', () => later().length >= 3)
    assert.ok(later().every(({ lines }) => lines.includes('EXTEND_TIMEOUT_USEC=30000000')))
    gate.open()
    assert.equal(await agent.stop(), 0)
    assert.match(agent.logs(), /"reason":"SIGTERM","running":1/)
  })

  it('is told what a start waits for', async (t) => {
    const manager = await ServiceManagerSocket.open()
    t.after(manager.close)
    const port = await freePort()
    const config = { redis_addr: `redis://127.0.0.1:${port}` }
    const starting = startTestAgent({ config, env: { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '300000' } })
    const waiting = await manager.told(/^STATUS=waiting for the store: Redis at redis:.*ECONNREFUSED/)
    const later = () => manager.with(/^WATCHDOG=1$/).filter(({ at }) => at > waiting.at)
    await eventually('it gives signs of life', () => later().length >= 3)
    assert.ok(later().every(({ lines }) => lines.length === 1))
    assert.deepEqual(manager.with(/^READY=1$/), [])
    process.kill(waiting.pid, 'SIGTERM')
    await assert.rejects(starting, /stopped before it served/)
  })

  it('is told why a start is refused', async (t) => {
    const manager = await ServiceManagerSocket.open()
    t.after(manager.close)
    const missing = join(makeTempDir('flux-agent-test-'), 'agent.yaml')
    const env = { NOTIFY_SOCKET: manager.address, AGENT_CONFIG: missing }
    const { code } = await runCli(['start'], { env })
    assert.equal(code, 1)
    const told = await manager.told(/^ERRNO=/)
    assert.equal(told, manager.received[0])
    assert.match(told.lines.join(), /^ERRNO=22,STATUS=cannot start: .*agent.yaml: cannot be read: there is no such/)
  })

  it('is not known to functions', async (t) => {
    const variables = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']
    const { agent, calls } = await startService(t, { env: { LISTEN_FDS: '1', LISTEN_PID: '1', LISTEN_FDNAMES: 'x' } })
    await calls.script('env', 'env; cat "/proc/$PPID/environ" | tr "\\0" "\\n"')
    const { output } = await calls.execute({ function_name: 'env' })
    for (const name of variables) assert.doesNotMatch(output.toString(), new RegExp(name))
    for (const { pid, command } of childrenOf(agent.pid)) {
      if (command !== 'notifier') assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, 'latin1'), /NOTIFY|WATCHDOG/)
    }
  })

  it('is heard of no longer once the agent is dead', async (t) => {
    const { agent } = await startService(t)
    const notifier = await eventually('the notifier runs', () => notifierOf(agent))
    await agent.kill()
    await eventually('the notifier is gone', () => !isRunning(notifier))
  })

  it('is told by a new notifier when one dies', async (t) => {
    const { agent, manager } = await startService(t)
    await manager.told(/^READY=1$/)
    const notifier = notifierOf(agent)
    process.kill(notifier, 'SIGKILL')
    await eventually('there is another one', () => ![0, notifier].includes(notifierOf(agent)))
    const before = manager.with(/^WATCHDOG=1$/).length
    await eventually('it tells', () => manager.with(/^WATCHDOG=1$/).length > before)
  })

  it('is told nothing of a watchdog that is for another process', async (t) => {
    const { manager } = await startService(t, { env: { WATCHDOG_USEC: '3000', WATCHDOG_PID: '1' } })
    await manager.told(/^READY=1$/)
    assert.deepEqual(manager.with(/^WATCHDOG=1$/), [])
  })

  it('does not hold the agent up when it does not listen', async (t) => {
    const missing = join(makeTempDir('flux-notify-'), 'nobody')
    const agent = await startTestAgent({ env: { NOTIFY_SOCKET: missing, WATCHDOG_USEC: '30000' } })
    t.after(() => agent.kill())
    assert.equal((await new Calls(agent.client).health()).healthy, true)
    await eventually('it says so', () => agent.logs().includes('flux-agent notifier: the service manager is not told'))
    assert.equal(await agent.stop(), 0)
  })
})
